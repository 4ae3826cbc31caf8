package assertions

import "slices"

// outcome compares a finding with what the scenario expects of this mesh.
func outcome(r Record, f Finding) (Outcome, string) {
	switch f.Verdict {
	case Unsupported:
		return NotApplicable, f.Why
	case Skipped:
		return OutcomeSkipped, f.Why
	case Inconclusive:
		if f.twinRefused {
			return Invalid, "the benign twin was refused too, so a refusal of the attempt proves nothing: " + f.Why
		}
		return Unjudged, f.Why
	case Breached, Blocked, WrongRefusal, Leaked, Disrupted, Undisturbed:
	}
	switch {
	case r.Expect.Verdict == Breached && f.Verdict == Breached && r.Overdue():
		return Unjudged, f.Why + ", so that it is not known to win by design"
	case r.Expect.Gap && f.Verdict == Breached:
		return gap(r, f)
	case r.Expect.CVE != nil && f.Verdict == Breached:
		return vulnerable(r, f)
	case r.Expect.Verdict == f.Verdict:
		return Pass, f.Why
	case r.Expect.Verdict == Breached:
		return Changed, "expected to succeed, but did not: " + f.Why
	}
	return Fail, f.Why
}

func gap(r Record, f Finding) (Outcome, string) {
	if why := falseAlarm(r); why != "" {
		return Fail, why
	}
	switch {
	case f.Alert != "" && !honest(r):
		return Unjudged, f.Why + "; " + f.Alert + ", but no honest call was served, so honest traffic may raise it too"
	case f.Alert != "":
		return Gap, f.Why + "; detected: " + f.Alert
	case r.Expect.Silent:
		return Gap, f.Why + "; no detector can see it: " + r.Expect.Because
	}
	return GapUndetected, f.Why + "; no alert " + r.Expect.Alert
}

// Opened says whether a mutant had its effect: it let the attempt succeed,
// blinded the detector of a gap or a known CVE, or disrupted honest load.
func Opened(r Record, f Finding) bool {
	switch {
	case r.Expect.Gap:
		return f.Outcome == GapUndetected
	case r.Expect.CVE != nil:
		return f.Verdict == Breached && f.Alert == ""
	case r.Expect.Verdict == Undisturbed:
		return f.Verdict == Disrupted
	default:
		return f.Verdict == Breached
	}
}

// Worst is the worst of the outcomes. A scenario has the worst outcome of its
// attempts. Without any, and for an unknown word, it is inconclusive.
func Worst(all ...Outcome) Outcome {
	order := []Outcome{Fail, Invalid, Changed, GapUndetected, Unjudged, KnownCVE, Gap, Pass, OutcomeSkipped, NotApplicable}
	worst := len(order)
	for _, o := range all {
		i := slices.Index(order, o)
		if i < 0 {
			i = slices.Index(order, Unjudged)
		}
		worst = min(worst, i)
	}
	if worst == len(order) {
		return Unjudged
	}
	return order[worst]
}

// Exit is the exit code for the outcomes of a run's scenarios: 0 if all are pass
// or gap, 1 if something failed or has a known CVE, 3 if nothing is worse than
// inconclusive or nothing was judged.
func Exit(all []Outcome) int {
	code, judged := 0, false
	for _, o := range all {
		switch o {
		case Fail, KnownCVE, Invalid, Changed, GapUndetected:
			return 1
		case Pass, Gap:
			judged = true
		case NotApplicable, OutcomeSkipped:
		case Unjudged:
			code = 3
		default: // an unknown word
			code = 3
		}
	}
	if !judged {
		return 3
	}
	return code
}
