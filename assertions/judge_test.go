package assertions_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func TestAReceiptThatMeetsThePredicateIsABreach(t *testing.T) { check(t, breaches()) }

func breaches() []trial {
	arrives := func(r *assertions.Record) { r.Receipts = append(r.Receipts, receipt("a1", 9, 21)) }
	arrivesAs := func(change func(*attacker.Receipt)) func(*assertions.Record) {
		return func(r *assertions.Record) {
			x := receipt("a1", 9, 21)
			change(&x)
			r.Receipts = append(r.Receipts, x)
		}
	}
	breached := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, hold, but, assertions.Breached, assertions.Fail, why}
	}
	return []trial{
		breached("a receipt", "receipt 9 at bank: POST /v1/charge", arrives),
		breached("a receipt of a try that was refused in the attacker's eyes", "receipt 9", arrives),
		breached("a receipt without any control", "receipt 9", func(r *assertions.Record) { arrives(r); r.Before, r.After = nil, nil }),
		breached("a receipt beside a fault", "receipt 9", func(r *assertions.Record) { arrives(r); r.Fault = "out of time" }),
		breached("a receipt under a policy that never settled", "receipt 9", func(r *assertions.Record) { arrives(r); r.Apply.Error = "envoy is gone" }),
		breached("a receipt of an attempt that failed to go on", "receipt 9", func(r *assertions.Record) { arrives(r); r.Tries.Error = "session lost" }),
		breached("a receipt where a capability is missing", "receipt 9", func(r *assertions.Record) { arrives(r); r.Missing = []string{"authorize"} }),
		breached("a receipt where it was thought to be unsupported", "receipt 9", func(r *assertions.Record) {
			arrives(r)
			r.Expect = assertions.Expectation{Verdict: assertions.Unsupported}
		}),
		breached("a receipt of another epoch", "receipt 9", arrivesAs(func(x *attacker.Receipt) { x.Epoch = "e2" })),
		breached("a receipt with a query", "?to=thief", arrivesAs(func(x *attacker.Receipt) { x.Path += "?to=thief" })),
		breached("a receipt of raw TCP", "at bank: tcp", func(r *assertions.Record) {
			r.Breach = assertions.Breach{}
			arrivesAs(func(x *attacker.Receipt) { x.Method, x.Path = "", "" })(r)
		}),
		breached("a receipt that the last sweep found", "found by the last sweep", func(r *assertions.Record) { r.Late = []attacker.Receipt{receipt("a1", 9, 21)} }),
		breached("a receipt at a sink", "at sink", func(r *assertions.Record) {
			r.Breach = assertions.Breach{ReceiptAt: "sink"}
			arrivesAs(func(x *attacker.Receipt) { x.Workload = "sink" })(r)
		}),
		{"a breach that is expected passes", hold, func(r *assertions.Record) {
			arrives(r)
			r.Expect = assertions.Expectation{Verdict: assertions.Breached}
		}, assertions.Breached, assertions.Pass, "receipt 9"},

		{"a receipt on another route is none, and no hold either", hold, arrivesAs(func(x *attacker.Receipt) { x.Path = "/v1/rates" }),
			assertions.Inconclusive, assertions.Unjudged, "it arrived: receipt 9 at bank: POST /v1/rates"},
		{"a receipt with another method is none", hold, func(r *assertions.Record) {
			r.Breach.Method = "POST"
			arrivesAs(func(x *attacker.Receipt) { x.Method = "GET" })(r)
		}, assertions.Inconclusive, assertions.Unjudged, "but it arrived"},
		{"a receipt on another port is none", hold, func(r *assertions.Record) { r.Breach.Port = 9090; arrives(r) },
			assertions.Inconclusive, assertions.Unjudged, "but it arrived"},
		{"a receipt elsewhere is none", hold, arrivesAs(func(x *attacker.Receipt) { x.Workload = "sink" }), assertions.Blocked, assertions.Pass, ""},
		{"a receipt of the twin is none", hold, nil, assertions.Blocked, assertions.Pass, ""},
		{"a receipt without a nonce is nobody's", hold, func(r *assertions.Record) {
			r.Receipts = append(r.Receipts, receipt("", 9, 21))
			r.Tries.Observations = append(r.Tries.Observations, refused("", 22, attacker.LayerDrop, 0, "timeout"))
		}, assertions.Inconclusive, assertions.Unjudged, "no proxy reported a refusal"},
	}
}

func TestAHoldNeedsTheSameProcessAndServedCallsOnBothSides(t *testing.T) { check(t, enclosures()) }

func enclosures() []trial {
	unjudged := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, hold, but, assertions.Inconclusive, assertions.Unjudged, why}
	}
	invalid := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, hold, but, assertions.Inconclusive, assertions.Invalid, why}
	}
	twin := func(layer attacker.Layer, code int) func(*assertions.Record) {
		return func(r *assertions.Record) {
			r.Before[1] = call(assertions.RoleTwin, "thief", refused("t1", 10, layer, code, "no"))
		}
	}
	return []trial{
		unjudged("no control", "no control before the attempt", func(r *assertions.Record) { r.Before = r.Before[1:] }),
		unjudged("no twin", "no benign twin before the attempt", func(r *assertions.Record) { r.Before = r.Before[:1] }),
		unjudged("no fence", "no follow-up check after the attempt", func(r *assertions.Record) { r.After = r.After[1:] }),
		unjudged("no twin afterwards", "no benign twin after the attempt", func(r *assertions.Record) { r.After = r.After[:1] }),
		unjudged("a control that was refused", "control before the attempt: http 403", func(r *assertions.Record) {
			r.Before[0] = call(assertions.RoleControl, "web", refused("c1", 0, attacker.LayerHTTP, 403, ""))
		}),
		unjudged("a control that could not be made", "control before the attempt: session lost", func(r *assertions.Record) { r.Before[0].Error = "session lost" }),
		unjudged("a control that sent nothing", "nothing was sent", func(r *assertions.Record) { r.Before[0].Observations = nil }),
		unjudged("a control that nobody received", "answered, but the target has no receipt", func(r *assertions.Record) { r.Receipts = r.Receipts[1:] }),
		unjudged("a control that another received", "the receipt is at sink, not at bank", func(r *assertions.Record) { r.Receipts[0].Workload = "sink" }),
		unjudged("a control without a nonce", "answered, but the target has no receipt", func(r *assertions.Record) {
			r.Before[0].Observations[0].Nonce, r.Receipts[0].Nonce = "", ""
		}),
		unjudged("a control that saw no answer", "no answer was seen", func(r *assertions.Record) { r.Before[0].Observations[0].Reply = nil }),
		unjudged("a second control that was refused", "control before the attempt: drop timeout", func(r *assertions.Record) {
			r.Before = append(r.Before, call(assertions.RoleControl, "web", refused("c9", 12, attacker.LayerDrop, 0, "timeout")))
		}),
		unjudged("a target that was restarted meanwhile", "restarted while it was attacked", func(r *assertions.Record) { r.Receipts[2].Epoch, r.Receipts[3].Epoch = "e2", "e2" }),
		unjudged("a target that was restarted before", "restarted before it was attacked", func(r *assertions.Record) { r.Receipts[0].Epoch = "e0" }),
		unjudged("receipts that name no process", "do not name their process", func(r *assertions.Record) {
			for i := range r.Receipts {
				r.Receipts[i].Epoch = ""
			}
		}),
		unjudged("a fence that arrived before the control", "has receipt 0 at bank", func(r *assertions.Record) { r.Receipts[2].Seq = 0 }),
		unjudged("a fence that is the control again", "has receipt 1 at bank, but the call before it has 2", func(r *assertions.Record) { r.After[0].Observations = r.Before[0].Observations }),
		unjudged("honest calls that do not reach where a breach would lie", "a breach would leave a receipt at sink", func(r *assertions.Record) { r.Breach = assertions.Breach{ReceiptAt: "sink"} }),
		{"a control that a proxy sent twice, of which the first arrival counts", hold, func(r *assertions.Record) {
			r.Receipts = append(r.Receipts, receipt("c1", 30, 35))
		}, assertions.Blocked, assertions.Pass, ""},
		{"twins that reach where a breach would lie", hold, func(r *assertions.Record) {
			r.Breach = assertions.Breach{ReceiptAt: "sink"}
			for _, i := range []int{1, 3} {
				r.Receipts[i].Workload, r.Receipts[i].Epoch = "sink", "s1"
			}
		}, assertions.Blocked, assertions.Pass, ""},
		unjudged("a twin from elsewhere", "not the same as http-request from thief", func(r *assertions.Record) { r.Before[1].From = "web" }),
		unjudged("a twin by another attack", "not the same as http-request from thief", func(r *assertions.Record) { r.Before[1].Attack = "plain-text" }),

		{"a twin by the other attack that the scenario names", hold, func(r *assertions.Record) {
			r.TwinAttack, r.Before[1].Attack, r.After[1].Attack = "plain-text", "plain-text", "plain-text"
		}, assertions.Blocked, assertions.Pass, ""},
		unjudged("the attempt's own attack where the twin is another", "not the same as plain-text from thief", func(r *assertions.Record) { r.TwinAttack = "plain-text" }),

		invalid("a twin that policy refused", "twin was refused too, so a refusal of the attempt proves nothing", twin(attacker.LayerHTTP, 403)),
		invalid("a twin that TLS refused", "tls 48", twin(attacker.LayerTLS, 48)),
		invalid("a twin whose token was refused", "token no", twin(attacker.LayerToken, 0)),
		invalid("a twin that gRPC refused", "grpc 7", twin(attacker.LayerGRPC, 7)),
		invalid("a twin that was refused once of several times", "http 403", func(r *assertions.Record) {
			r.After[1].Observations = append([]attacker.Observation{refused("t3", 38, attacker.LayerHTTP, 403, "")}, r.After[1].Observations...)
		}),
		unjudged("a twin without an answer", "drop", twin(attacker.LayerDrop, 0)),
		unjudged("a twin that was reset", "tcp", twin(attacker.LayerTCP, 0)),
		unjudged("a twin whose target is not there", "http 503", twin(attacker.LayerHTTP, 503)),
		unjudged("a twin that came too often", "http 429", twin(attacker.LayerHTTP, 429)),
		unjudged("a twin whose gRPC target is not there", "grpc 14", twin(attacker.LayerGRPC, 14)),
		unjudged("a twin that was answered in another protocol", "tls no", twin(attacker.LayerTLS, 0)),
		unjudged("a target that words its refusal like ours", "twin refused", func(r *assertions.Record) {
			r.Tries.Observations[0].Refusal = &attacker.Refusal{Layer: attacker.LayerTCP, Text: "twin refused"}
			r.Signals = nil
		}),
	}
}

func TestAHoldNeedsTheNamedRefusalOnTheNamedSide(t *testing.T) { check(t, refusals()) }

func refusals() []trial {
	wrongRefusal := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, hold, but, assertions.WrongRefusal, assertions.Fail, why}
	}
	unjudged := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, hold, but, assertions.Inconclusive, assertions.Unjudged, why}
	}
	says := func(change func(*signals.Signal)) func(*assertions.Record) {
		return func(r *assertions.Record) { change(&r.Signals[0]) }
	}
	sees := func(layer attacker.Layer, code int, text string, signals ...signals.Signal) func(*assertions.Record) {
		return func(r *assertions.Record) {
			r.Tries.Observations[0] = refused("a1", 20, layer, code, text)
			r.Signals = signals
		}
	}
	passed := denial("a1", 21)
	passed.Refused, passed.Reason, passed.Upstream = false, "", true
	return []trial{
		{"the named refusal", hold, nil, assertions.Blocked, assertions.Pass, "refused by bank: http " + denied + "; the attacker saw http 403"},
		{"the named refusal, whatever was expected", hold, func(r *assertions.Record) { r.Expect.Verdict, r.Expect.Gap = assertions.Breached, true },
			assertions.Blocked, assertions.Changed, "expected to succeed, but did not"},
		{"any code where none is named", hold, func(r *assertions.Record) {
			r.Expect.Code = 0
			r.Tries.Observations[0].Refusal.Code = 503
		}, assertions.Blocked, assertions.Pass, ""},
		{"the thief's own proxy where it is named", hold, func(r *assertions.Record) {
			r.Expect.By = "source"
			r.Signals[0].Workload, r.Signals[0].Inbound = "thief", false
		}, assertions.Blocked, assertions.Pass, "refused by thief"},

		wrongRefusal("another reason", "jwt_authn", says(func(s *signals.Signal) { s.Reason = "jwt_authn_access_denied{Jwt_is_expired}" })),
		wrongRefusal("another layer", "refused by bank: tls", says(func(s *signals.Signal) { s.Layer = "tls" })),
		wrongRefusal("the thief's own proxy", "refused by thief", says(func(s *signals.Signal) { s.Workload, s.Inbound = "thief", false })),
		wrongRefusal("the bank's proxy on its way out", "refused by bank", says(func(s *signals.Signal) { s.Inbound = false })),
		wrongRefusal("the thief's proxy on the way in, where its way out is named", "refused by thief", func(r *assertions.Record) {
			r.Expect.By = "source"
			r.Signals[0].Workload = "thief"
		}),
		wrongRefusal("another code", "not 403", func(r *assertions.Record) { r.Tries.Observations[0].Refusal.Code = 401 }),
		wrongRefusal("nobody named", "expected blocked by", func(r *assertions.Record) { r.Expect.By = "" }),
		wrongRefusal("no route, which no proxy calls a refusal", "http 404", sees(attacker.LayerHTTP, 404, "", passed)),
		wrongRefusal("no upstream, which no proxy calls a refusal", "http 503", sees(attacker.LayerHTTP, 503, "", passed)),
		wrongRefusal("the named words without a refusal", "no proxy reported it", says(func(s *signals.Signal) { s.Refused = false })),
		wrongRefusal("the first of two tries for another reason", "refused by bank: http jwt", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, refused("a2", 24, attacker.LayerHTTP, 403, ""))
			r.Signals = append(r.Signals, denial("a2", 25))
			r.Signals[0].Reason = "jwt_authn_access_denied{Jwt_is_expired}"
		}),
		wrongRefusal("the second of two tries for another reason", "refused by bank: http jwt", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, refused("a2", 24, attacker.LayerHTTP, 403, ""))
			s := denial("a2", 25)
			s.Reason = "jwt_authn_access_denied{Jwt_is_expired}"
			r.Signals = append(r.Signals, s)
		}),

		unjudged("silence", "drop timeout, and no proxy reported a refusal", sees(attacker.LayerDrop, 0, "timeout")),
		unjudged("a reset", "tcp reset, and no proxy reported a refusal", sees(attacker.LayerTCP, 0, "reset")),
		unjudged("silence of a request that a proxy let pass", "drop timeout", sees(attacker.LayerDrop, 0, "timeout", passed)),
		unjudged("a status without a word of any proxy", "http 403", sees(attacker.LayerHTTP, 403, "")),
		unjudged("a status of which only the thief's own proxy speaks", "http 403", func(r *assertions.Record) {
			r.Signals = []signals.Signal{passed}
			r.Signals[0].Workload, r.Signals[0].Inbound = "thief", false
		}),
		unjudged("no socket", "socket too many open files", sees(attacker.LayerSocket, 0, "too many open files")),
		unjudged("an answer without a receipt", "answered (status 200), but neither", func(r *assertions.Record) { r.Tries.Observations[0] = served("a1", 20) }),
		unjudged("neither an answer nor a refusal", "answered (no reply), but neither", func(r *assertions.Record) { r.Tries.Observations[0].Refusal = nil }),
		unjudged("the second of two tries in silence", "drop timeout", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, refused("a2", 24, attacker.LayerDrop, 0, "timeout"))
		}),
		unjudged("a refusal of another's request", "no proxy reported", says(func(s *signals.Signal) { s.Nonce = "x1" })),
		unjudged("nothing tried", "no attempt was made", func(r *assertions.Record) { r.Tries.Observations = nil }),
		unjudged("an attempt that could not be made", "could not be made: session lost", func(r *assertions.Record) { r.Tries.Error = "session lost" }),
		unjudged("a fault", "out of time", func(r *assertions.Record) { r.Fault = "out of time" }),
		unjudged("a policy that did not settle", "the policy never settled: envoy is gone", func(r *assertions.Record) { r.Apply.Error = "envoy is gone" }),
		unjudged("a policy that nobody saw settle", "the policy never settled: the mesh did not say when", func(r *assertions.Record) { *r.Apply = assertions.Change{What: "apply policy", Asked: ms(-200)} }),
	}
}
