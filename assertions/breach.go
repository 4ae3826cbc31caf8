package assertions

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// tries are the record's attempt and its earlier ones, each with the change that
// was made while it ran.
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

// breached looks for a receipt or a reply that proves a breach. Requests that
// were served before a change settled are its exposure window, not a breach.
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
					after := x.At.Sub(c.Change.Holds()).Round(time.Millisecond)
					if c.Change.Unsettled() == "" {
						f.Why += fmt.Sprintf(", %s after the change had settled", after)
					} else {
						f.Why += fmt.Sprintf(", %s after it should have taken effect, and %s never settled: %s", after, c.Change.What, c.Change.Unsettled())
					}
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

// told says whether a reply proves a breach. If there was a change, only requests
// that were sent after it settled count.
func told(r Record, c Call, o attacker.Observation) (Finding, bool) {
	b := r.Breach.Reply
	if !r.byReply() || !b.Proves(o, r.Target) || c.Change != nil && !c.Change.before(o.Start) {
		return Finding{}, false
	}
	return Finding{Verdict: Breached, Proof: "reply", Alert: alert(r, c),
		Why: fmt.Sprintf("answered with %s, and the answer contains the marker of %s", ReplyText(o.Reply), b.canary(r.Target))}, true
}

// byReply says whether a reply can prove a breach. Where accepted objects are
// run, acceptance alone proves nothing: the breach needs a receipt.
func (r Record) byReply() bool { return r.Breach.Reply != nil && (!r.Breach.Reply.Unrun || !r.Runs) }

// moment is when an attempt got what its receipt proves. A certificate that was
// issued during a change belongs to the exposure window, even if it was used
// later.
func moment(o attacker.Observation, x attacker.Receipt) time.Time {
	if len(o.Related) > 0 {
		return o.Start
	}
	return x.At
}

// before says whether the change should have held before a moment.
func (c Change) before(t time.Time) bool { return !c.Holds().IsZero() && t.After(c.Holds()) }

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

// leaked compares the exposure window of every change with its budget. Receipts
// prove what was served too late, even if the change never settled.
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

// proofs are the receipts that prove a breach by one of the tries, at any time.
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

// unenforced judges a breach under a policy, or after a change, that never
// settled. It is one where the mesh had taken the policy and was ready, the
// limit had passed, and the friend was served before and after it: else the mesh
// may not have been there at all.
func unenforced(r Record, e evidence, f Finding) Finding {
	late := r.Overdue()
	if late {
		f.Why += "; and the policy never settled: " + r.Apply.Unsettled()
	}
	if !late && (r.Change == nil || r.Change.Unsettled() == "") {
		return f
	}
	for _, c := range append(slices.Clone(r.Before), r.After...) {
		if c.Role == RoleTwin {
			continue
		}
		if _, why, _ := served(r, e, c); why != "" {
			return inconclusive("%s; but the %s was not served: %s", f.Why, c.Role, why)
		}
	}
	if len(r.Before) == 0 || len(r.After) == 0 {
		return inconclusive("%s; but no honest call was made around it", f.Why)
	}
	return f
}
