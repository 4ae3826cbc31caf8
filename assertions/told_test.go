package assertions_test

import (
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

var planeAt = netip.MustParseAddrPort("10.0.0.2:15014")

// told is the record of a thief whom the control plane told of the bank.
func told() assertions.Record {
	r := hold()
	r.Scenario, r.Attempt = "control-plane/istiod-debug", "own-token-syncz"
	r.Breach = assertions.Breach{Reply: &assertions.Told{Status: 200, Holds: "target"}}
	r.Expect = assertions.Expectation{Verdict: assertions.Breached}
	r.Tries = call(assertions.RoleAttempt, "thief", served("a1", 20))
	r.Tries.Observations[0].Reply.Holds = []string{"authority", "bank"}
	r.Receipts = []attacker.Receipt{receipt("c1", 1, 1), receipt("c2", 3, 31)} // its interfaces write none
	r.Signals = nil
	for _, o := range []*attacker.Observation{&r.Tries.Observations[0], &r.Before[1].Observations[0], &r.After[1].Observations[0]} {
		o.Remote = planeAt
	}
	return r
}

// untold is the record of the same when he was refused, with a log that holds
// neither a nonce nor an address of him.
func untold() assertions.Record {
	r := told()
	const reason, mark = "Unauthorized debug request", "spiffe://x/thief /debug/syncz"
	r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: "authority", Layer: "http", Reason: reason, Code: 403}
	o := &r.Tries.Observations[0]
	o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerHTTP, Code: 403}
	o.LogKeys = []string{mark}
	r.Signals = []signals.Signal{{At: ms(21), Workload: signals.FromAuthority, Inbound: true, Layer: "http", Nonce: mark, Refused: true, Reason: reason}}
	return r
}

// unopened is the record of an endpoint that nobody opens, whom nobody writes of.
func unopened() assertions.Record {
	r := untold()
	r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: assertions.SidePeer, Layer: "tcp", Reason: "refused"}
	r.Tries.Observations[0].Refusal = &attacker.Refusal{Layer: attacker.LayerTCP, Text: "refused"}
	r.Signals = nil
	return r
}

func replies() []trial {
	reply := func(r *assertions.Record) *attacker.Reply { return r.Tries.Observations[0].Reply }
	refusal := func(f attacker.Refusal) func(*assertions.Record) {
		return func(r *assertions.Record) { r.Tries.Observations[0].Refusal = &f }
	}
	return []trial{
		{"a reply that holds the canary is a breach", told, nil, assertions.Breached, assertions.Pass, "contains the marker of bank"},
		{"a reply without it is none", told, func(r *assertions.Record) { reply(r).Holds = nil }, assertions.Inconclusive, assertions.Unjudged, "neither a receipt nor the answer"},
		{"the canary of another is none", told, func(r *assertions.Record) { reply(r).Holds = []string{"web"} }, assertions.Inconclusive, assertions.Unjudged, ""},
		{"that of a configuration is another", told, func(r *assertions.Record) { r.Breach.Reply.What = "config" }, assertions.Inconclusive, assertions.Unjudged, ""},
		{"and is found by its name", told, func(r *assertions.Record) {
			r.Breach.Reply.What = "config"
			reply(r).Holds = []string{"bank/config"}
		}, assertions.Breached, assertions.Pass, "bank/config"},
		{"another status is none", told, func(r *assertions.Record) { reply(r).Status = 206 }, assertions.Inconclusive, assertions.Unjudged, ""},
		{"any success counts where none is named", told, func(r *assertions.Record) { r.Breach.Reply.Status, reply(r).Status = 0, 0 }, assertions.Breached, assertions.Pass, ""},
		{"a receipt is no breach where a reply is asked for", untold, func(r *assertions.Record) {
			r.Receipts = append(r.Receipts, receipt("a1", 2, 21))
		}, assertions.Inconclusive, assertions.Unjudged, "but it arrived"},
		{"a retry hides no reply", untold, func(r *assertions.Record) { r.Earlier = []assertions.Call{told().Tries} }, assertions.Breached, assertions.Fail, ""},

		{"a refusal is found by its mark", untold, nil, assertions.Blocked, assertions.Pass, "refused by authority"},
		{"another's mark says nothing", untold, func(r *assertions.Record) { r.Signals[0].Nonce = "spiffe://x/web /debug/syncz" }, assertions.Inconclusive, assertions.Unjudged, "no proxy reported"},
		{"an old mark says nothing", untold, func(r *assertions.Record) { r.Signals[0].At = ms(-5000) }, assertions.Inconclusive, assertions.Unjudged, ""},
		{"a twin without an answer proves nothing", untold, func(r *assertions.Record) { r.Before[1].Observations[0].Reply = nil }, assertions.Inconclusive, assertions.Unjudged, "no answer was seen"},
		{"a friend without a receipt proves nothing", untold, func(r *assertions.Record) { r.Receipts = r.Receipts[1:] }, assertions.Inconclusive, assertions.Unjudged, "no receipt"},

		{"a closed endpoint holds", unopened, nil, assertions.Blocked, assertions.Pass, "refused by the peer at 10.0.0.2:15014"},
		{"a twin at another address does not show that anybody is there", unopened, func(r *assertions.Record) {
			r.After[1].Observations[0].Remote = netip.MustParseAddrPort("10.0.0.3:15012")
		}, assertions.Inconclusive, assertions.Unjudged, "it is unknown who answers there"},
		{"silence is nobody's word", unopened, refusal(attacker.Refusal{Layer: attacker.LayerDrop, Text: "timeout"}), assertions.Inconclusive, assertions.Unjudged, "is not an answer"},
		{"no socket is nobody's word", unopened, refusal(attacker.Refusal{Layer: attacker.LayerSocket, Text: "stopped"}), assertions.Inconclusive, assertions.Unjudged, ""},
		{"a reset is another word", unopened, refusal(attacker.Refusal{Layer: attacker.LayerTCP, Text: "reset"}), assertions.WrongRefusal, assertions.Fail, "expected"},
		{"an answer by a proxy is not the peer's", unopened, func(r *assertions.Record) {
			r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: assertions.SidePeer, Layer: "http", Reason: "not found"}
			r.Tries.Observations[0].Refusal = &attacker.Refusal{Layer: attacker.LayerHTTP, Code: 404, Text: "not found", By: "istio-envoy"}
		}, assertions.WrongRefusal, assertions.Fail, "a proxy gave this answer"},
		{"what a proxy reports goes before what the peer seems to say", unopened, func(r *assertions.Record) {
			s := denial("a1", 21)
			r.Signals = []signals.Signal{s}
		}, assertions.WrongRefusal, assertions.Fail, "refused by bank"},
	}
}

func TestAnswersAreBreachesWhenTheyHoldACanary(t *testing.T) { check(t, replies()) }
