package assertions

import (
	"fmt"
	"slices"
	"time"
)

// outcome holds a finding against what was expected of this mesh.
func outcome(r Record, f Finding) (Outcome, string) {
	switch f.Verdict {
	case Unsupported:
		return NotApplicable, f.Why
	case Skipped:
		return OutcomeSkipped, f.Why
	case Inconclusive:
		if f.Reason == twinRefused {
			return Invalid, "the twin was refused, so a refusal of the attempt proves nothing: " + f.Why
		}
		return Unjudged, f.Why
	case Breached, Blocked, Misblocked, Leaked, Disrupted, Undisturbed:
	}
	switch {
	case r.Expect.Gap && f.Verdict == Breached:
		return gap(r, f)
	case r.Expect.Verdict == f.Verdict:
		return Pass, f.Why
	case r.Expect.Verdict == Breached:
		return Changed, "was expected to win and did not: " + f.Why
	}
	return Fail, f.Why
}

func gap(r Record, f Finding) (Outcome, string) {
	if why := falseAlarm(r); why != "" {
		return Fail, why
	}
	if f.Alert == "" {
		if r.Expect.Silent {
			return Gap, f.Why + "; no detector can see it: " + r.Expect.Because
		}
		return GapUndetected, f.Why + "; no alert " + r.Expect.Alert
	}
	return Gap, f.Why + "; detected: " + f.Alert
}

// alert returns the text of the alert that the scenario names, if it was
// raised for one of these nonces in time.
func alert(r Record, mine map[string]bool) string {
	within := time.Duration(r.Expect.Within)
	if within == 0 {
		within = 2 * time.Second
	}
	o := last(r.Tries.Observations)
	for _, a := range r.Alerts {
		if a.Kind == r.Expect.Alert && r.Expect.Alert != "" && (a.Nonce == "" || mine[a.Nonce]) && a.At.Sub(o.End) <= within {
			return a.Text
		}
	}
	return ""
}

// falseAlarm says which honest call raised the alert that is meant for the
// attack.
func falseAlarm(r Record) string {
	for _, c := range slices.Concat(r.Before, r.After) {
		if c.Role == RoleTwin {
			continue // the twin of a stolen identity is as foreign as the theft
		}
		honest := nonces(c.Observations)
		for _, a := range r.Alerts {
			if a.Kind == r.Expect.Alert && a.Nonce != "" && honest[a.Nonce] {
				return fmt.Sprintf("the honest %s raised %s", c.Role, a.Kind)
			}
		}
	}
	return ""
}

// Opened says whether a mutant did what it is for: it let the attempt win,
// blinded the detector of a gap, or disrupted what was undisturbed.
func Opened(r Record, f Finding) bool {
	switch {
	case r.Expect.Gap:
		return f.Outcome == GapUndetected
	case r.Expect.Verdict == Undisturbed:
		return f.Verdict == Disrupted
	default:
		return f.Verdict == Breached
	}
}

// Worst orders outcomes; the worst one of its attempts is a scenario's.
func Worst(all ...Outcome) Outcome {
	order := []Outcome{Fail, Invalid, Changed, GapUndetected, Unjudged, Gap, Pass, OutcomeSkipped, NotApplicable}
	for _, o := range order {
		if slices.Contains(all, o) {
			return o
		}
	}
	return Unjudged
}

// Exit is the exit code for the outcomes of a run's scenarios: 0 all pass or
// gap, 1 something failed, 3 nothing worse than inconclusive, or nothing
// judged.
func Exit(all []Outcome) int {
	code, judged := 0, false
	for _, o := range all {
		switch o {
		case Fail, Invalid, Changed, GapUndetected:
			return 1
		case Unjudged:
			code = 3
		case Pass, Gap:
			judged = true
		case NotApplicable, OutcomeSkipped:
		}
	}
	if !judged {
		return 3
	}
	return code
}
