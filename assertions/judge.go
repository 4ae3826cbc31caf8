package assertions

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
)

// A Finding is what a record proves, and why.
type Finding struct {
	Verdict Verdict
	Outcome Outcome
	Why     string
	By      string // whose proxy refused
	Layer   string
	Reason  string
	Proof   string // receipt, proxy-log or reply
	Alert   string
}

// Judge says what a record proves. It is a pure function of the record.
func Judge(r Record) Finding {
	f := verdict(r)
	f.Outcome, f.Why = outcome(r, f)
	return f
}

// verdict asks the questions in the order of their strength: what was proven
// to have happened comes before what could not be tried.
func verdict(r Record) Finding {
	if r.Expect.Verdict == Unsupported {
		return Finding{Verdict: Unsupported, Why: r.Expect.Because}
	}
	if len(r.Missing) > 0 {
		return Finding{Verdict: Unsupported, Why: fmt.Sprintf("the mesh lacks %v", r.Missing)}
	}
	if f, ok := breached(r); ok {
		return f
	}
	if why := untried(r); why != "" {
		return Finding{Verdict: Inconclusive, Why: why}
	}
	if r.Expect.Verdict == Undisturbed {
		return disturbed(r)
	}
	if f, ok := sandwich(r); !ok {
		return f
	}
	return refused(r)
}

// breached looks for a receipt that meets the breach predicate. While a change
// was under way, what was served before it settled is the window, not a breach.
func breached(r Record) (Finding, bool) {
	if r.Expect.Verdict == Undisturbed {
		return Finding{}, false
	}
	mine := r.mine()
	for _, late := range []bool{false, true} {
		list, when := r.Receipts, ""
		if late {
			list, when = r.Late, ", found by the last sweep"
		}
		for _, c := range list {
			if !mine[c.Nonce] || !r.Breach.Proves(c, r.Target) {
				continue
			}
			if r.Change != nil && (r.Change.Settled.IsZero() || !c.At.After(r.Change.Settled)) {
				continue
			}
			why := fmt.Sprintf("receipt %d at %s: %s %s%s", c.Seq, c.Workload, orRaw(c.Method), c.Path, when)
			if r.Change != nil {
				why += fmt.Sprintf(", %s after the change had settled", c.At.Sub(r.Change.Settled).Round(time.Millisecond))
			}
			f := Finding{Verdict: Breached, Why: why, Proof: "receipt"}
			f.Alert = alert(r, mine)
			return f, true
		}
	}
	return Finding{}, false
}

func orRaw(method string) string {
	if method == "" {
		return "tcp"
	}
	return method
}

// untried says why the record cannot show a hold.
func untried(r Record) string {
	switch {
	case r.Fault != "":
		return r.Fault
	case r.Apply != nil && r.Apply.Error != "":
		return "the policy never settled: " + r.Apply.Error
	case r.Change != nil && r.Change.Error != "":
		return r.Change.What + " never settled: " + r.Change.Error
	case r.Tries.Error != "":
		return "could not try: " + r.Tries.Error
	case len(r.Tries.Observations) == 0 && r.Expect.Verdict != Undisturbed:
		return "nothing was tried"
	}
	return ""
}

// disturbed judges a change by the honest load that ran through it.
func disturbed(r Record) Finding {
	switch p := r.Pulse; {
	case p == nil || p.Requests == 0:
		return Finding{Verdict: Inconclusive, Why: "no honest load ran"}
	case r.Change == nil || r.Change.Settled.IsZero():
		return Finding{Verdict: Inconclusive, Why: "nothing was changed"}
	case p.Start.After(r.Change.Asked) || p.End.Before(r.Change.Settled):
		return Finding{Verdict: Inconclusive, Why: "the honest load did not span the change"}
	case p.FreshSent == 0 || p.KeptSent == 0:
		return Finding{Verdict: Inconclusive, Why: "the honest load did not use both fresh and kept connections"}
	case p.Lost > 0:
		return Finding{Verdict: Disrupted, Proof: "reply", Why: fmt.Sprintf("%d of %d honest requests lost, the first: %s", p.Lost, p.Requests, firstLoss(*p))}
	default:
		return Finding{Verdict: Undisturbed, Proof: "reply", Why: fmt.Sprintf("%d honest requests served, none lost", p.Served)}
	}
}

func firstLoss(p attacker.PulseResult) string {
	if len(p.Losses) == 0 {
		return "not kept"
	}
	return p.Losses[0].Why
}

// sandwich checks that the friend and the twin were served on both sides of
// the attempt and that the target stayed one and the same process.
func sandwich(r Record) (Finding, bool) {
	sides := []struct {
		name  string
		calls []Call
		roles []string
	}{
		{"before", r.Before, []string{RoleControl, RoleTwin}},
		{"after", r.After, []string{RoleFence, RoleTwin}},
	}
	var epochs []string
	for _, side := range sides {
		for _, role := range side.roles {
			i := slices.IndexFunc(side.calls, func(c Call) bool { return c.Role == role })
			if i < 0 {
				return Finding{Verdict: Inconclusive, Why: fmt.Sprintf("no %s %s the attempt", role, side.name)}, false
			}
			c := side.calls[i]
			got, why := served(r, c)
			if got != nil {
				epochs = append(epochs, got.Epoch)
				continue
			}
			f := Finding{Verdict: Inconclusive, Why: fmt.Sprintf("%s %s the attempt: %s", role, side.name, why)}
			if o := last(c.Observations); role == RoleTwin && o != nil && refusedByRule(o.Refusal) {
				f.Reason = twinRefused
			}
			return f, false
		}
	}
	if len(slices.Compact(epochs)) > 1 {
		return Finding{Verdict: Inconclusive, Why: "the target was restarted while it was attacked"}, false
	}
	return Finding{}, true
}

// twinRefused marks a finding whose twin met a clear refusal: the test, not
// the mesh, is wrong.
const twinRefused = "twin refused"

func last(os []attacker.Observation) *attacker.Observation {
	if len(os) == 0 {
		return nil
	}
	return &os[len(os)-1]
}

// refusedByRule says whether somebody answered "no", rather than nobody
// answering.
func refusedByRule(f *attacker.Refusal) bool {
	return f != nil && (f.Layer == attacker.LayerTLS || f.Layer == attacker.LayerHTTP && f.Code < 500)
}

// served returns the receipt of a call's last observation if it was answered,
// and otherwise why not.
func served(r Record, c Call) (*attacker.Receipt, string) {
	o := last(c.Observations)
	switch {
	case c.Error != "":
		return nil, c.Error
	case o == nil:
		return nil, "nothing was sent"
	case o.Refusal != nil:
		return nil, refusalText(*o.Refusal)
	}
	i := slices.IndexFunc(r.Receipts, func(x attacker.Receipt) bool { return x.Nonce == o.Nonce })
	if i < 0 {
		return nil, "answered, but the target has no receipt"
	}
	return &r.Receipts[i], ""
}

func refusalText(f attacker.Refusal) string {
	s := string(f.Layer)
	if f.Code != 0 {
		s += fmt.Sprintf(" %d", f.Code)
	}
	if f.Text != "" {
		s += " " + f.Text
	}
	return s
}

// refused judges a record without a breach, whose control and twin were served.
func refused(r Record) Finding {
	tries := r.Tries.Observations
	if r.Change != nil {
		if r.Change.Budget > 0 && r.Change.Window.LastLeak > r.Change.Budget {
			return Finding{Verdict: Leaked, Proof: "receipt", Why: fmt.Sprintf("%d requests served in the window, the last %s after the change was asked for; the budget is %s",
				r.Change.Window.Served, r.Change.Window.LastLeak.Round(time.Millisecond), r.Change.Budget)}
		}
		tries = slices.DeleteFunc(slices.Clone(tries), func(o attacker.Observation) bool { return o.End.Before(r.Change.Asked) || o.Refusal == nil })
		if len(tries) == 0 {
			return Finding{Verdict: Inconclusive, Why: "no try was refused after the change"}
		}
		tries = tries[:1]
	}
	var f Finding
	for _, o := range tries {
		f = one(r, o)
		if f.Verdict != Blocked {
			return f
		}
	}
	return f
}

// one judges a single refused try by the signal that joins it.
func one(r Record, o attacker.Observation) Finding {
	if o.Refusal == nil {
		return Finding{Verdict: Inconclusive, Why: "answered, but no receipt meets the breach predicate and nobody refused: " + replyText(o.Reply)}
	}
	seen := joined(r.Signals, o)
	i := slices.IndexFunc(seen, func(s clusters.Signal) bool { return matches(r, s) })
	if i >= 0 {
		s := seen[i]
		f := Finding{Verdict: Blocked, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
			Why: fmt.Sprintf("refused by %s: %s %s; the attacker saw %s", s.Workload, s.Layer, s.Reason, refusalText(*o.Refusal))}
		if r.Expect.Code != 0 && o.Refusal.Code != r.Expect.Code {
			f.Verdict, f.Why = Misblocked, f.Why+fmt.Sprintf(", not %d", r.Expect.Code)
		}
		return f
	}
	i = slices.IndexFunc(seen, func(s clusters.Signal) bool { return s.Refused })
	if i >= 0 {
		s := seen[i]
		return Finding{Verdict: Misblocked, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
			Why: fmt.Sprintf("refused by %s: %s %s; expected %s", s.Workload, s.Layer, s.Reason, r.Expect)}
	}
	if refusedByRule(o.Refusal) && len(seen) > 0 {
		return Finding{Verdict: Misblocked, Layer: string(o.Refusal.Layer), Reason: o.Refusal.Text, Proof: "reply",
			Why: fmt.Sprintf("refused (%s), but no proxy says that it did; expected %s", refusalText(*o.Refusal), r.Expect)}
	}
	return Finding{Verdict: Inconclusive, Layer: string(o.Refusal.Layer), Reason: o.Refusal.Text,
		Why: fmt.Sprintf("the attacker saw %s, and no proxy reported a refusal", refusalText(*o.Refusal))}
}

func replyText(p *attacker.Reply) string {
	if p == nil {
		return "no reply"
	}
	return fmt.Sprintf("status %d", p.Status)
}

// matches says whether a signal is the refusal that the scenario names.
func matches(r Record, s clusters.Signal) bool {
	by := r.Target
	if r.Expect.By == "source" {
		by = r.Tries.From
	}
	return s.Refused && s.Workload == by && s.Inbound == (r.Expect.By != "source") &&
		s.Layer == r.Expect.Layer && s.Reason == r.Expect.Reason
}

// joined are the signals of one try: by nonce, or by address and port where no
// nonce could travel.
func joined(all []clusters.Signal, o attacker.Observation) []clusters.Signal {
	var out []clusters.Signal
	for _, s := range all {
		if s.Nonce != "" && s.Nonce == o.Nonce || s.Nonce == "" && o.Local.IsValid() && s.Source == o.Local && !s.At.Before(o.Start.Add(-time.Second)) {
			out = append(out, s)
		}
	}
	return out
}

func (r Record) mine() map[string]bool {
	m := map[string]bool{}
	for _, n := range r.Nonces() {
		m[n] = true
	}
	return m
}

func nonces(os []attacker.Observation) map[string]bool {
	m := make(map[string]bool, len(os))
	for _, o := range os {
		m[o.Nonce] = true
	}
	return m
}
