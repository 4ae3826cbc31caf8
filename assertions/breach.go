package assertions

import (
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// tries are those of the record and the earlier ones, each with the change
// that was made while it ran.
func (r Record) tries() []Call {
	now := r.Tries
	now.Change = r.Change
	out := []Call{now}
	for _, c := range r.Earlier {
		if c.Change == nil {
			c.Change = r.Change // of an older record; what came after this one settled came after that one too
		}
		out = append(out, c)
	}
	return out
}

// breached looks for a receipt, or a reply, that meets the breach predicate. While a change
// was under way, what was served before it settled is the window, not a breach.
func breached(r Record, e evidence) (Finding, bool) {
	for _, c := range r.tries() {
		for _, o := range c.Observations {
			if f, ok := told(r, c, o); ok {
				return f, true
			}
			for _, x := range e.receipts[o.Nonce] {
				if !r.Breach.Proves(x, r.Target) || c.Change != nil && !c.Change.before(moment(o, x)) {
					continue
				}
				f := Finding{Verdict: Breached, Why: fmt.Sprintf("receipt %d at %s: %s %s", x.Seq, x.Workload, orRaw(x.Method), x.Path), Proof: "receipt"}
				if c.Change != nil {
					f.Why += fmt.Sprintf(", %s after the change had settled", x.At.Sub(c.Change.Settled).Round(time.Millisecond))
				}
				if late(r, x) {
					f.Why += ", found by the last sweep"
				}
				f.Alert = alert(r, c)
				return f, true
			}
		}
	}
	return Finding{}, false
}

// told says whether the reply to a try meets the breach predicate. Of a change
// that was under way only what was asked for after it had settled counts.
func told(r Record, c Call, o attacker.Observation) (Finding, bool) {
	b := r.Breach.Reply
	if !r.byReply() || !b.Proves(o, r.Target) || c.Change != nil && !c.Change.before(o.Start) {
		return Finding{}, false
	}
	return Finding{Verdict: Breached, Proof: "reply", Alert: alert(r, c),
		Why: fmt.Sprintf("answered with %s, and the answer contains the marker of %s", ReplyText(o.Reply), b.canary(r.Target))}, true
}

// byReply says whether a reply can prove a breach. What was let in and would be
// run proves nothing until it was seen to arrive.
func (r Record) byReply() bool { return r.Breach.Reply != nil && (!r.Breach.Reply.Unrun || !r.Runs) }

// moment is when a try got what its receipt proves. What an authority issues is
// good wherever it is shown: who asked for it while a change was under way
// belongs to the window, even when the request itself came after it.
func moment(o attacker.Observation, x attacker.Receipt) time.Time {
	if len(o.Related) > 0 {
		return o.Start
	}
	return x.At
}

// before says whether the change had settled before a moment.
func (c Change) before(t time.Time) bool { return !c.Settled.IsZero() && t.After(c.Settled) }

func late(r Record, x attacker.Receipt) bool {
	for _, l := range r.Late {
		if l.Nonce == x.Nonce && l.Epoch == x.Epoch && l.Seq == x.Seq {
			return true
		}
	}
	return false
}

func orRaw(method string) string {
	if method == "" {
		return "tcp"
	}
	return method
}

// leaked holds the window of every change against its budget. What was served
// too late is proven by its receipt, whether or not the change ever settled.
func leaked(r Record, e evidence) (Finding, bool) {
	for _, c := range r.tries() {
		if c.Change == nil || c.Change.Budget <= 0 {
			continue
		}
		w := c.Change.Window
		found := Measure(c.Change.Asked, c.Change.Settled, nil, e.proofs(r, c.Observations))
		last, served := max(w.LastLeak, found.LastLeak), max(w.Served, found.Served)
		if last > c.Change.Budget {
			return Finding{Verdict: Leaked, Proof: "receipt", Why: fmt.Sprintf("%d requests were served in the exposure window, the last %s after the change was requested; the budget is %s",
				served, last.Round(time.Millisecond), c.Change.Budget)}, true
		}
	}
	return Finding{}, false
}

// proofs are the receipts of tries that meet the breach predicate, whenever
// they were written.
func (e evidence) proofs(r Record, tries []attacker.Observation) []attacker.Receipt {
	var out []attacker.Receipt
	for _, o := range tries {
		for _, x := range e.receipts[o.Nonce] {
			if r.Breach.Proves(x, r.Target) {
				out = append(out, x)
			}
		}
	}
	return out
}
