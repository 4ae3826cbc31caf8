package assertions

import (
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// afterwards judges a try that was answered with success and had its effect
// later, when the control plane went to do what it was asked for. The attacker
// sees nothing of that, so the control plane's own word is the only one: it has
// to name the try by its nonce, and to be of a time after the try began. What it
// says nothing of was neither done nor refused as far as anybody knows.
func afterwards(r Record, e evidence, o attacker.Observation) Finding {
	var refusals []signals.Signal
	for _, s := range e.named[o.Nonce] {
		if o.Nonce != "" && s.Refused && s.Workload == r.Expect.By && !s.At.Before(o.Start.Add(-skew)) {
			refusals = append(refusals, s)
		}
	}
	if len(refusals) == 0 {
		return inconclusive("accepted (%s), and nothing shows that %s refused it afterwards", ReplyText(o.Reply), r.Expect.By)
	}
	// Where one of several was for another reason, that is what stopped it.
	i := slices.IndexFunc(refusals, func(s signals.Signal) bool { return !matches(r, s) })
	s := refusals[max(i, 0)]
	f := Finding{Verdict: Blocked, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
		Why: fmt.Sprintf("refused by %s: %s %s; the attacker saw %s before that", s.Workload, s.Layer, s.Reason, ReplyText(o.Reply))}
	if i >= 0 {
		f.Verdict, f.Why = WrongRefusal, f.Why+fmt.Sprintf("; expected %s", r.Expect)
		return f
	}
	return yetArrived(r, e, o, f)
}
