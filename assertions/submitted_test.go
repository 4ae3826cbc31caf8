package assertions_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// taken is the record of a pod of web's account that the platform took, where
// nobody runs pods.
func taken() assertions.Record {
	const reason = "validation.policy.admission.k8s.io: mesh-own-account"
	r := hold()
	r.Scenario, r.Attempt = "governance/shared-sa", "anothers-account"
	r.Breach = assertions.Breach{Route: "/v1/charge", As: "web", Reply: &assertions.Told{Status: 201, Holds: "thief", What: "object", Unrun: true}}
	r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: signals.FromPlatform, Layer: "http", Reason: reason, Code: 403}
	r.Tries = call(assertions.RoleAttempt, "thief", served("a1", 20))
	r.Tries.Observations[0].Reply = &attacker.Reply{Status: 201, Holds: []string{"thief/object"}}
	r.Receipts = []attacker.Receipt{receipt("c1", 1, 1), receipt("c2", 3, 31)} // the twins ran nowhere either
	r.Signals = nil
	return r
}

// ran is the record of the same on a platform with kubelets: the pod called the
// bank, and so did those of the twins.
func ran() assertions.Record {
	r := taken()
	r.Runs = true
	r.Tries.Observations[0].Reply.Body = "ended after its call was served"
	of := func(nonce string, seq uint64, at int, account, path string) attacker.Receipt {
		x := receipt(nonce, seq, at)
		x.Path, x.Identity = path, []string{"spiffe://r1.meshbreach.test/ns/prod/sa/" + account}
		return x
	}
	r.Receipts = append(r.Receipts, of("t1", 2, 11, "thief", "/v1/rates"), of("a1", 9, 21, "web", "/v1/charge"), of("t2", 11, 41, "thief", "/v1/rates"))
	r.Receipts[1].Seq = 10
	return r
}

// unlet is the record of the same when admission refused it.
func unlet() assertions.Record {
	r := ran()
	o := &r.Tries.Observations[0]
	o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerHTTP, Code: 403, Text: "forbidden"}
	r.Receipts = append(r.Receipts[:3:3], r.Receipts[4])
	r.Signals = []signals.Signal{{At: ms(21), Seen: ms(22), Workload: signals.FromPlatform, Inbound: true, Layer: "http", Nonce: "a1", Status: 403, Refused: true, Reason: r.Expect.Reason}}
	return r
}

func TestWhatIsRunIsProvenByAReceiptAndWhatIsNotByTheReply(t *testing.T) { check(t, submitted()) }

func submitted() []trial {
	arrived := func(change func(*attacker.Receipt)) func(*assertions.Record) {
		return func(r *assertions.Record) { change(&r.Receipts[3]) }
	}
	unseen := func(r *assertions.Record) { r.Receipts[3].Nonce = "another" }
	return []trial{
		{"where nobody runs it the reply is a breach", taken, nil, assertions.Breached, assertions.Fail, "answered with status 201"},
		{"where nobody runs it a reply without the object is none", taken, func(r *assertions.Record) { r.Tries.Observations[0].Reply.Holds = nil },
			assertions.Inconclusive, assertions.Unjudged, "neither a receipt nor the answer"},
		{"where it runs the receipt is a breach", ran, nil, assertions.Breached, assertions.Fail, "receipt 9 at bank: POST /v1/charge"},
		{"where it runs the reply alone is none", ran, unseen,
			assertions.Inconclusive, assertions.Unjudged, "the platform accepted it (status 201), and no receipt shows that it ran: it ended after its call was served"},
		{"where it runs a reply that says nothing of its end is none either", ran, func(r *assertions.Record) {
			unseen(r)
			r.Tries.Observations[0].Reply.Body = ""
		}, assertions.Inconclusive, assertions.Unjudged, "no receipt shows that it ran"},
		{"what was not seen to end and arrived is a breach", ran, func(r *assertions.Record) { r.Tries.Error = "it has not ended" }, assertions.Breached, assertions.Fail, "receipt 9"},
		{"what was not seen to end and did not arrive cannot be told", ran, func(r *assertions.Record) {
			unseen(r)
			r.Tries.Error = "it has not ended"
		}, assertions.Inconclusive, assertions.Unjudged, "could not be made: it has not ended"},
		{"what arrived after the end is a breach", ran, func(r *assertions.Record) {
			r.Late = []attacker.Receipt{r.Receipts[3]}
			unseen(r)
		}, assertions.Breached, assertions.Fail, "found by the last sweep"},
		{"the receipt of another's account is none", ran, arrived(func(x *attacker.Receipt) { x.Identity = []string{"spiffe://r1.meshbreach.test/ns/prod/sa/thief"} }),
			assertions.Inconclusive, assertions.Unjudged, "no receipt shows that it ran"},
		{"a namespace that is called so is no account", ran, arrived(func(x *attacker.Receipt) { x.Identity = []string{"spiffe://r1.meshbreach.test/ns/web/sa/thief"} }),
			assertions.Inconclusive, assertions.Unjudged, ""},
		{"the receipt of nobody is none", ran, arrived(func(x *attacker.Receipt) { x.Identity = nil }), assertions.Inconclusive, assertions.Unjudged, ""},
		{"the receipt of another route is none", ran, arrived(func(x *attacker.Receipt) { x.Path = "/v1/rates" }), assertions.Inconclusive, assertions.Unjudged, ""},
		{"the receipt of a pod whose object was altered on the way is a breach", ran, func(r *assertions.Record) { r.Tries.Observations[0].Reply.Holds = nil },
			assertions.Breached, assertions.Fail, "receipt 9"},

		{"what admission refuses is blocked", unlet, nil, assertions.Blocked, assertions.Pass, "refused by platform"},
		{"a twin that was taken and did not arrive shows nothing", unlet, func(r *assertions.Record) { r.Receipts[2].Nonce = "another" },
			assertions.Inconclusive, assertions.Unjudged, "twin before the attempt: answered, but the target has no receipt"},
		{"where nobody runs it the twin's reply is enough", unlet, func(r *assertions.Record) { r.Runs, r.Receipts = false, r.Receipts[:2] },
			assertions.Blocked, assertions.Pass, "refused by platform"},
		{"what admission refuses where its log is not ours is not judged", unlet, func(r *assertions.Record) { r.Missing, r.Before, r.After = []string{"platform-log"}, nil, nil },
			assertions.Unsupported, assertions.NotApplicable, "the mesh lacks [platform-log]; the attacker saw http 403"},
		{"what arrives where the log is not ours is a breach", ran, func(r *assertions.Record) { r.Missing, r.Before, r.After = []string{"platform-log"}, nil, nil },
			assertions.Breached, assertions.Fail, "receipt 9"},
		{"what is let in there and does not arrive cannot be told", ran, func(r *assertions.Record) {
			unseen(r)
			r.Missing, r.Before, r.After = []string{"platform-log"}, nil, nil
		}, assertions.Inconclusive, assertions.Unjudged, "no receipt shows that it ran"},
		{"nor can what is let in there and does not end", ran, func(r *assertions.Record) {
			unseen(r)
			r.Missing, r.Tries.Error = []string{"platform-log"}, "it has not ended"
		}, assertions.Inconclusive, assertions.Unjudged, "; it has not ended"},
		{"what was refused and arrived all the same is a breach", unlet, func(r *assertions.Record) { r.Receipts = append(r.Receipts, ran().Receipts[3]) },
			assertions.Breached, assertions.Fail, "receipt 9"},
	}
}
