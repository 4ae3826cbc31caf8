package matchers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/assertions/matchers"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// A match is a value, a matcher, and which of three outcomes it has.
type match struct {
	name    string
	matcher types.GomegaMatcher
	actual  any
	want    bool
	err     string // part of the error, where it cannot be judged
	failure string // whole failure text, of the outcome that it has
}

func try(t *testing.T, cases []match) {
	t.Helper()
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			// Asked twice: a matcher has no memory.
			for range 2 {
				got, err := c.matcher.Match(c.actual)
				if c.err != "" {
					if err == nil || !strings.Contains(err.Error(), c.err) {
						t.Fatalf("%t, error %v, want one with %q", got, err, c.err)
					}
					return
				}
				if err != nil || got != c.want {
					t.Fatalf("%t, %v, want %t", got, err, c.want)
				}
				text := c.matcher.FailureMessage(c.actual)
				if got {
					text = c.matcher.NegatedFailureMessage(c.actual)
				}
				if text != c.failure {
					t.Fatalf("failure:\n%s\nwant:\n%s", text, c.failure)
				}
			}
		})
	}
}

// ms is a moment: so many milliseconds after the record began.
func ms(n int) time.Time {
	return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

func served() attacker.Observation {
	return attacker.Observation{Nonce: "n1", Start: ms(0), End: ms(2), Seen: attacker.Replied, Reply: &attacker.Reply{Status: 200}}
}

func refused(layer attacker.Layer, code int, text string) attacker.Observation {
	o := served()
	o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: layer, Code: code, Text: text}
	return o
}

const denied = "rbac_access_denied_matched_policy[none]"

func TestHowFarAnAttemptCameCanBeAsserted(t *testing.T) {
	shook := refused(attacker.LayerTLS, 45, "certificate_expired")
	shook.Seen = attacker.Handshake
	shook.Refusal.By = "envoy"
	here := refused(attacker.LayerSocket, 0, "too many open files")
	try(t, []match{
		{name: "as far", matcher: matchers.HaveReached(attacker.Handshake), actual: shook, want: true,
			failure: "expected an attempt that did not reach handshake, but n1 reached handshake and was refused: tls 45 certificate_expired by envoy"},
		{name: "farther", matcher: matchers.HaveReached(attacker.Transport), actual: &shook, want: true,
			failure: "expected an attempt that did not reach transport, but n1 reached handshake and was refused: tls 45 certificate_expired by envoy"},
		{name: "not as far", matcher: matchers.HaveReached(attacker.Replied), actual: shook,
			failure: "expected an attempt that reached reply, but n1 reached handshake and was refused: tls 45 certificate_expired by envoy"},
		{name: "answered", matcher: matchers.HaveReached(attacker.Replied), actual: served(), want: true,
			failure: "expected an attempt that did not reach reply, but n1 reached reply and was answered: status 200"},
		{name: "not made", matcher: matchers.HaveReached(attacker.Nowhere), actual: here, err: "attempt n1 could not be made here: socket too many open files"},
		{name: "not said", matcher: matchers.HaveReached(attacker.Nowhere), actual: attacker.Observation{Nonce: "n1"}, err: "does not say how far"},
		{name: "no reach", matcher: matchers.HaveReached("home"), actual: shook, err: `"home" is no reach`},
		{name: "something else", matcher: matchers.HaveReached(attacker.Replied), actual: 7, err: "HaveReached takes a attacker.Observation"},
		{name: "nothing", matcher: matchers.HaveReached(attacker.Replied), actual: nil, err: "HaveReached takes"},
		{name: "a nil pointer", matcher: matchers.HaveReached(attacker.Replied), actual: (*attacker.Observation)(nil), err: "HaveReached takes"},
	})
}

func TestARefusalCanBeAsserted(t *testing.T) {
	forbidden := refused(attacker.LayerHTTP, 403, "RBAC: access denied")
	here := refused(attacker.LayerSocket, 0, "too many open files")
	try(t, []match{
		{name: "layer and text", matcher: matchers.HaveRefusal(attacker.LayerHTTP, "RBAC"), actual: forbidden, want: true,
			failure: "expected no refusal: http RBAC, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "any text", matcher: matchers.HaveRefusal(attacker.LayerHTTP, ""), actual: &forbidden, want: true,
			failure: "expected no refusal: http, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "code", matcher: matchers.HaveRefusalCode(attacker.LayerHTTP, 403), actual: forbidden, want: true,
			failure: "expected no refusal: http 403, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "another layer", matcher: matchers.HaveRefusal(attacker.LayerTLS, "RBAC"), actual: forbidden,
			failure: "expected a refusal: tls RBAC, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "another text", matcher: matchers.HaveRefusal(attacker.LayerHTTP, "Jwt"), actual: forbidden,
			failure: "expected a refusal: http Jwt, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "another code", matcher: matchers.HaveRefusalCode(attacker.LayerHTTP, 401), actual: forbidden,
			failure: "expected a refusal: http 401, but n1 reached reply and was refused: http 403 RBAC: access denied"},
		{name: "answered", matcher: matchers.HaveRefusal(attacker.LayerHTTP, ""), actual: served(),
			failure: "expected a refusal: http, but n1 reached reply and was answered: status 200"},
		{name: "not made", matcher: matchers.HaveRefusal(attacker.LayerHTTP, ""), actual: here, err: "could not be made here"},
		{name: "not made, as was asked", matcher: matchers.HaveRefusal(attacker.LayerSocket, "files"), actual: here, want: true,
			failure: "expected no refusal: socket files, but n1 reached reply and was refused: socket too many open files"},
		{name: "neither", matcher: matchers.HaveRefusal(attacker.LayerHTTP, ""), actual: attacker.Observation{Nonce: "n1"}, err: "neither an answer nor a refusal"},
		{name: "something else", matcher: matchers.HaveRefusal(attacker.LayerHTTP, ""), actual: "403", err: "HaveRefusal takes"},
	})
}

func TestAWindowCanBeAsserted(t *testing.T) {
	c := assertions.Change{What: "apply policy", Asked: ms(0), Settled: ms(200)}
	with := func(w assertions.Window) assertions.Change { c.Window = w; return c }
	leaky := with(assertions.Window{Tries: 9, Served: 2, FirstDenial: 30 * time.Millisecond, LastLeak: 60 * time.Millisecond})
	unsettled := leaky
	unsettled.Settled, unsettled.Error = time.Time{}, "out of time"
	const said = "of 9 tries after apply policy 2 were served, the last after 60ms, and the first was refused after 30ms"
	try(t, []match{
		{name: "within", matcher: matchers.HaveWindowWithin(60 * time.Millisecond), actual: leaky, want: true, failure: "expected a window of more than 60ms, but " + said},
		{name: "over", matcher: matchers.HaveWindowWithin(59 * time.Millisecond), actual: &leaky, failure: "expected a window of at most 59ms, but " + said},
		{name: "no leak", matcher: matchers.HaveWindowWithin(0), actual: with(assertions.Window{Tries: 9, LastLeak: -1}), want: true,
			failure: "expected a window of more than 0s, but of 9 tries after apply policy 0 were served, and the first was refused after 0s"},
		{name: "over, and never settled", matcher: matchers.HaveWindowWithin(time.Millisecond), actual: unsettled, failure: "expected a window of at most 1ms, but " + said},
		{name: "never settled", matcher: matchers.HaveWindowWithin(time.Second), actual: unsettled, err: "apply policy never settled: out of time"},
		{name: "nobody asked", matcher: matchers.HaveWindowWithin(time.Second), actual: with(assertions.Window{}), err: "nobody asked"},
		{name: "nothing refused", matcher: matchers.HaveWindowWithin(time.Second), actual: with(assertions.Window{Tries: 3, Served: 3, FirstDenial: -1}), err: "3 tries, 3 served"},
		{name: "something else", matcher: matchers.HaveWindowWithin(time.Second), actual: leaky.Window, err: "HaveWindowWithin takes a assertions.Change"},
	})
}

func TestALosslessLoadCanBeAsserted(t *testing.T) {
	whole := attacker.LoadResult{Start: ms(0), End: ms(1000), Requests: 10, Served: 10}
	lossy := attacker.LoadResult{Start: ms(0), End: ms(1000), Requests: 10, Served: 5, Lost: 5}
	for i := range 5 {
		lossy.Losses = append(lossy.Losses, attacker.Loss{At: ms(10 * i), Seq: uint64(i), Why: "status 503", Fresh: i%2 == 0})
	}
	unknown := whole
	unknown.Served = 9
	try(t, []match{
		{name: "nothing lost", matcher: matchers.LoseNothing(), actual: whole, want: true, failure: "expected honest requests to be lost, but all 10 were served"},
		{name: "some lost", matcher: matchers.LoseNothing(), actual: &lossy, failure: `expected no honest request to be lost, but 5 of 10 were
  request 0 after 0s on a fresh connection: status 503
  request 1 after 10ms on a kept connection: status 503
  request 2 after 20ms on a fresh connection: status 503
  and 2 more`},
		{name: "nothing sent", matcher: matchers.LoseNothing(), actual: attacker.LoadResult{}, err: "sent nothing"},
		{name: "unknown", matcher: matchers.LoseNothing(), actual: unknown, err: "only of 9"},
		{name: "something else", matcher: matchers.LoseNothing(), actual: 0, err: "LoseNothing takes"},
	})
}

func TestASignalCanBeAsserted(t *testing.T) {
	all := []signals.Signal{{Workload: "bank", Inbound: true, Layer: "http", Nonce: "n1", Status: 403, Refused: true, Reason: denied}, {Workload: "thief", Layer: "http", Nonce: "n1", Method: "POST", Path: "/v1/charge", Status: 403, Serial: "7f"}}
	const are = "but there are\n  bank inbound http 403 refused " + denied + " nonce n1\n  thief http POST /v1/charge 403 serial 7f nonce n1"
	try(t, []match{
		{name: "a refusal", matcher: matchers.HaveSignal(signals.Signal{Workload: "bank", Refused: true, Reason: denied}), actual: all, want: true,
			failure: "expected no signal: bank refused " + denied + ", " + are},
		{name: "every field", matcher: matchers.HaveSignal(all[1]), actual: &all, want: true,
			failure: "expected no signal: thief http POST /v1/charge 403 serial 7f nonce n1, " + are},
		{name: "a refusal by another", matcher: matchers.HaveSignal(signals.Signal{Workload: "thief", Refused: true}), actual: all,
			failure: "expected a signal: thief refused, " + are},
		{name: "another reason", matcher: matchers.HaveSignal(signals.Signal{Reason: "certificate_expired"}), actual: all,
			failure: "expected a signal: certificate_expired, " + are},
		{name: "another status", matcher: matchers.HaveSignal(signals.Signal{Status: 401, Inbound: true}), actual: all,
			failure: "expected a signal: inbound 401, " + are},
		{name: "no signal", matcher: matchers.HaveSignal(signals.Signal{Workload: "bank"}), actual: []signals.Signal{}, err: "no signal at all"},
		{name: "something else", matcher: matchers.HaveSignal(signals.Signal{}), actual: all[0], err: "HaveSignal takes a []signals.Signal"},
	})
}

func TestAnOutcomeCanBeAsserted(t *testing.T) {
	f := assertions.Finding{Verdict: assertions.Blocked, Outcome: assertions.Pass, Why: "refused by bank"}
	reported := struct{ Outcome, Verdict, Why string }{"fail", "breached", "receipt 9"}
	unjudged := assertions.Finding{Verdict: assertions.Inconclusive, Outcome: assertions.Unjudged, Why: "no control"}
	type inner struct{ Outcome string }
	try(t, []match{
		{name: "one of them", matcher: matchers.HaveOutcome(assertions.Gap, assertions.Pass), actual: f, want: true,
			failure: `expected an outcome other than ["gap" "pass"], but it is pass (blocked): refused by bank`},
		{name: "none of them", matcher: matchers.HaveOutcome(assertions.Pass), actual: &reported,
			failure: `expected an outcome of ["pass"], but it is fail (breached): receipt 9`},
		{name: "not judged", matcher: matchers.HaveOutcome(assertions.Pass), actual: unjudged, err: "it could not be judged: inconclusive (inconclusive): no control"},
		{name: "not judged, as was asked", matcher: matchers.HaveOutcome(assertions.Unjudged), actual: unjudged, want: true,
			failure: `expected an outcome other than ["inconclusive"], but it is inconclusive (inconclusive): no control`},
		{name: "not filled", matcher: matchers.HaveOutcome(assertions.Pass), actual: assertions.Finding{}, err: "it could not be judged"},
		{name: "something else", matcher: matchers.HaveOutcome(assertions.Pass), actual: "pass", err: "HaveOutcome takes a struct with a text field Outcome"},
		{name: "an outcome of another kind", matcher: matchers.HaveOutcome(assertions.Pass), actual: struct{ Outcome int }{1}, err: "HaveOutcome takes"},
		{name: "an outcome that is not there", matcher: matchers.HaveOutcome(assertions.Pass), actual: struct{ *inner }{}, err: "HaveOutcome takes"},
		{name: "nothing", matcher: matchers.HaveOutcome(assertions.Pass), actual: nil, err: "HaveOutcome takes"},
	})
}

func TestAVerdictCanBeAsserted(t *testing.T) {
	f := assertions.Finding{Verdict: assertions.Blocked, Outcome: assertions.Pass, Why: "refused by bank"}
	unjudged := assertions.Finding{Verdict: assertions.Inconclusive, Why: "no control"}
	try(t, []match{
		{name: "one of them", matcher: matchers.HaveVerdict(assertions.Breached, assertions.Blocked), actual: &f, want: true,
			failure: `expected a verdict other than ["breached" "blocked"], but it is pass (blocked): refused by bank`},
		{name: "none of them", matcher: matchers.HaveVerdict(assertions.Breached), actual: struct{ Verdict string }{"leaked"},
			failure: `expected a verdict of ["breached"], but it is leaked`},
		{name: "not judged", matcher: matchers.HaveVerdict(assertions.Breached), actual: unjudged, err: "it could not be judged: inconclusive: no control"},
		{name: "not judged, as was asked", matcher: matchers.HaveVerdict(assertions.Inconclusive), actual: unjudged, want: true,
			failure: `expected a verdict other than ["inconclusive"], but it is inconclusive: no control`},
		{name: "something else", matcher: matchers.HaveVerdict(assertions.Blocked), actual: 1, err: "HaveVerdict takes a struct with a text field Verdict"},
		{name: "pass", matcher: matchers.BePassOrGap(), actual: f, want: true,
			failure: `expected an outcome other than ["pass" "gap"], but it is pass (blocked): refused by bank`},
		{name: "fail", matcher: matchers.BePassOrGap(), actual: struct{ Outcome string }{"fail"}, failure: `expected an outcome of ["pass" "gap"], but it is fail`},
	})
}

func TestAMisconfigurationThatOpensCanBeAsserted(t *testing.T) {
	type trial struct {
		Opened       bool
		Verdict, Why string
	}
	try(t, []match{
		{name: "opened", matcher: matchers.BeOpened(), actual: trial{true, "breached", "receipt 9"}, want: true,
			failure: "expected the misconfiguration to change nothing, but it is breached: receipt 9"},
		{name: "held", matcher: matchers.BeOpened(), actual: &trial{false, "blocked", "refused by bank"},
			failure: "expected the misconfiguration to let the attempt win, but it is blocked: refused by bank"},
		{name: "not judged", matcher: matchers.BeOpened(), actual: trial{false, "inconclusive", "no control"}, err: "it could not be judged: inconclusive: no control"},
		{name: "something else", matcher: matchers.BeOpened(), actual: struct{ Opened string }{"yes"}, err: "BeOpened takes a struct with a truth field Opened"},
		{name: "no struct", matcher: matchers.BeOpened(), actual: true, err: "BeOpened takes"},
	})
}

// Gomega asks for a failure text only after Match, and yet no value may make a
// matcher panic.
func TestAFailureTextAboutSomethingElseSaysSo(t *testing.T) {
	for _, m := range []types.GomegaMatcher{
		matchers.HaveReached(attacker.Replied), matchers.HaveRefusal(attacker.LayerHTTP, ""),
		matchers.HaveWindowWithin(0), matchers.LoseNothing(), matchers.HaveSignal(signals.Signal{}),
	} {
		for _, got := range []string{m.FailureMessage(7), m.NegatedFailureMessage(7)} {
			if !strings.Contains(got, "or a pointer to one, not:\n    <int>: 7") {
				t.Errorf("%T says %q", m, got)
			}
		}
	}
}
