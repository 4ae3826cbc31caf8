package assertions

import (
	"fmt"

	"github.com/meshbreach/meshbreach/attacker"
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

	// twinRefused says that the twin was clearly refused, so the test is wrong and
	// not the mesh. It is not exported, because only the judge can tell.
	twinRefused bool
}

// Judge says what a record proves. It is a pure function of the record.
func Judge(r Record) Finding {
	f := verdict(r)
	f.Outcome, f.Why = outcome(r, f)
	return f
}

// verdict looks at the strongest evidence first: a proven breach counts even if
// something else could not be tried.
func verdict(r Record) Finding {
	e := gather(r)
	if r.Expect.Verdict != Undisturbed {
		if f, ok := breached(r, e); ok {
			return unenforced(r, e, f)
		}
		if f, ok := leaked(r, e); ok {
			return f
		}
	}
	if r.Expect.Verdict == Unsupported {
		return Finding{Verdict: Unsupported, Why: r.Expect.Because}
	}
	if len(r.Missing) > 0 {
		return lacking(r)
	}
	if why := untried(r); why != "" {
		return inconclusive("%s", why)
	}
	if r.Expect.Verdict == Undisturbed {
		return disturbed(r)
	}
	if f, ok := sandwich(r, e); !ok {
		return f
	}
	return held(r, e)
}

// lacking judges a record whose mesh lacks a capability, so that a refusal cannot
// be proven. An attempt that was not refused is inconclusive.
func lacking(r Record) Finding {
	f := Finding{Verdict: Unsupported, Why: fmt.Sprintf("the mesh lacks %v", r.Missing)}
	for _, o := range r.Tries.Observations {
		switch {
		case o.Refusal != nil:
			f.Why += fmt.Sprintf("; the attacker saw %s %d", o.Refusal.Layer, o.Refusal.Code)
		case r.Tries.Error != "":
			return inconclusive("%s; %s", unrefused(r, o).Why, r.Tries.Error)
		default:
			return unrefused(r, o)
		}
	}
	return f
}

func inconclusive(format string, args ...any) Finding {
	return Finding{Verdict: Inconclusive, Why: fmt.Sprintf(format, args...)}
}

// untried says why the record cannot show that the attempt was blocked.
func untried(r Record) string {
	switch {
	case r.Fault != "":
		return r.Fault
	case r.Apply != nil && r.Apply.Unsettled() != "":
		return "the policy never settled: " + r.Apply.Unsettled()
	case r.Change != nil && r.Change.Unsettled() != "":
		return r.Change.What + " never settled: " + r.Change.Unsettled()
	case r.Tries.Error != "":
		return "the attempt could not be made: " + r.Tries.Error
	case len(r.Tries.Observations) == 0 && r.Expect.Verdict != Undisturbed:
		return "no attempt was made"
	}
	return ""
}

// Unsettled says why a change never settled. It is empty when the change did
// settle.
func (c Change) Unsettled() string {
	switch {
	case c.Error != "":
		return c.Error
	case c.Settled.IsZero():
		return "the mesh did not say when"
	}
	return ""
}

// disturbed judges a change by the honest load that ran through it.
func disturbed(r Record) Finding {
	switch p := r.Load; {
	case p == nil || p.Requests == 0:
		return inconclusive("no honest load ran")
	case r.Change == nil:
		return inconclusive("nothing was changed")
	case p.Start.After(r.Change.Asked) || p.End.Before(r.Change.Settled):
		return inconclusive("the honest load did not span the change")
	case p.Lost > 0:
		return Finding{Verdict: Disrupted, Proof: "reply", Why: fmt.Sprintf("%d of %d honest requests lost, the first: %s", p.Lost, p.Requests, firstLoss(*p))}
	case p.FreshSent == 0 || p.KeptSent == 0:
		return inconclusive("the honest load did not use both fresh and kept connections")
	case p.Served != p.Requests:
		return inconclusive("only %d of %d honest requests are known to have been served", p.Served, p.Requests)
	default:
		return Finding{Verdict: Undisturbed, Proof: "reply", Why: fmt.Sprintf("%d honest requests served, none lost", p.Served)}
	}
}

func firstLoss(p attacker.LoadResult) string {
	if len(p.Losses) == 0 {
		return "reason not recorded"
	}
	return p.Losses[0].Why
}
