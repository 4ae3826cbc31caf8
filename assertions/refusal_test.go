package assertions_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// fetched is the record of a thief who was answered with success, and on whose
// behalf the control plane then did not fetch what it was told to.
func fetched() assertions.Record {
	r := hold()
	r.Scenario, r.Attempt = "control-plane/jwks-ssrf", "service"
	const reason = "IP is in blocked CIDR range"
	r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: signals.FromAuthority, Layer: "tcp", Reason: reason, After: true}
	r.Tries = call(assertions.RoleAttempt, "thief", served("a1", 20))
	r.Tries.Observations[0].Reply.Status = 201
	r.Signals = []signals.Signal{{At: ms(26), Seen: ms(28), Workload: signals.FromAuthority, Inbound: true, Layer: "tcp", Nonce: "a1", Refused: true, Reason: reason}}
	return r
}

func afterwards() []trial {
	unjudged := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, fetched, but, assertions.Inconclusive, assertions.Unjudged, why}
	}
	wrongRefusal := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, fetched, but, assertions.WrongRefusal, assertions.Fail, why}
	}
	says := func(change func(*signals.Signal)) func(*assertions.Record) {
		return func(r *assertions.Record) { change(&r.Signals[0]) }
	}
	const silent = "nothing shows that authority refused it"
	return []trial{
		{"the authority's word of what came after an answer", fetched, nil, assertions.Blocked, assertions.Pass, "the attacker saw status 201 before that"},
		{"a receipt goes before any word", fetched, func(r *assertions.Record) { r.Receipts = append(r.Receipts, receipt("a1", 9, 27)) }, assertions.Breached, assertions.Fail, "receipt 9"},
		{"a receipt that the last sweep found goes before it too", fetched, func(r *assertions.Record) { r.Late = []attacker.Receipt{receipt("a1", 9, 900)} }, assertions.Breached, assertions.Fail, "last sweep"},
		unjudged("a receipt there on another route", "but it arrived", func(r *assertions.Record) {
			x := receipt("a1", 9, 27)
			x.Path = "/elsewhere"
			r.Receipts = append(r.Receipts, x)
		}),
		unjudged("an authority that says nothing", silent, func(r *assertions.Record) { r.Signals = nil }),
		unjudged("its word about another's", silent, says(func(s *signals.Signal) { s.Nonce = "x1" })),
		unjudged("its word without a nonce from the same address", silent, says(func(s *signals.Signal) { s.Nonce, s.Source = "", thiefAt })),
		unjudged("its word of an earlier time", silent, says(func(s *signals.Signal) { s.At = ms(-5000) })),
		unjudged("its word that it could not", silent, says(func(s *signals.Signal) { s.Refused, s.Reason = false, "connection refused" })),
		unjudged("the word of a proxy", silent, says(func(s *signals.Signal) { s.Workload = "bank" })),
		unjudged("its word where a refusal has to be seen", "answered (status 201), but neither", func(r *assertions.Record) { r.Expect.After = false }),
		unjudged("its word where the attacker saw nothing", "answered (no reply), but neither", func(r *assertions.Record) { r.Tries.Observations[0].Reply = nil }),
		unjudged("the second of two tries in silence", silent, func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, served("a2", 24))
		}),
		unjudged("a twin that was not fetched", "no receipt", func(r *assertions.Record) { r.Receipts = append(r.Receipts[:1:1], r.Receipts[2:]...) }),
		wrongRefusal("another reason", "refused by authority: tcp no", says(func(s *signals.Signal) { s.Reason = "no" })),
		wrongRefusal("another layer", "expected blocked by authority", says(func(s *signals.Signal) { s.Layer = "http" })),
		wrongRefusal("one of two words with another reason", "refused by authority: tcp no", func(r *assertions.Record) {
			s := r.Signals[0]
			s.Reason = "no"
			r.Signals = append(r.Signals, s)
		}),
		wrongRefusal("a refusal by the platform before it came to that", "refused by platform", func(r *assertions.Record) {
			r.Tries.Observations[0] = refused("a1", 20, attacker.LayerHTTP, 403, "forbidden")
			r.Signals[0].Workload, r.Signals[0].Layer = signals.FromPlatform, "http"
		}),
	}
}

func TestWhatIsRefusedAfterAnAnswerNeedsTheAuthoritysWordOfIt(t *testing.T) { check(t, afterwards()) }
