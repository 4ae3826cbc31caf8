package reports

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// outcomes in the order they are printed: known CVEs, the good ones, then by
// concern.
func outcomes() []string {
	return []string{"known-cve", "pass", "gap", "fail", "gap-undetected", "changed", "invalid", "inconclusive", "unsupported", "skipped"}
}

// verdicts of attempts and of changes, in the order they are printed.
func verdicts() []string {
	return []string{"blocked", "undisturbed", "breached", "wrong-refusal", "leaked", "disrupted", "inconclusive", "unsupported", "skipped"}
}

// concern groups outcomes by what a reader has to do about them.
type concern int

const (
	fine       concern = iota // as it should be
	known                     // a known limitation, detected
	untried                   // nothing was judged, on purpose
	vulnerable                // a published vulnerability; shown first, and not among the troubles
	unknown                   // nothing was judged, against our will
	broken                    // somebody has to act
)

// concernOf is the concern of an outcome. An unknown word is broken, so that a
// report never hides it.
func concernOf(outcome string) concern {
	switch outcome {
	case "pass":
		return fine
	case "gap":
		return known
	case "unsupported", "skipped":
		return untried
	case "known-cve":
		return vulnerable
	case "inconclusive":
		return unknown
	default:
		return broken
	}
}

// call is the result of a run, by its exit code.
func call(exit int) string {
	switch exit {
	case 0:
		return "PASS"
	case 1:
		return "FAIL"
	case 2:
		return "ERROR"
	default:
		return "INCONCLUSIVE"
	}
}

// counts says how often each word occurs, in the given order. Other words come
// last, sorted. Zeros are left out.
func counts(n map[string]int, order []string) string {
	var parts []string
	for _, word := range ordered(n, order) {
		parts = append(parts, fmt.Sprintf("%d %s", n[word], clean(word)))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func ordered(n map[string]int, order []string) []string {
	words := slices.Clone(order)
	var others []string
	for word := range n {
		if !slices.Contains(order, word) {
			others = append(others, word)
		}
	}
	slices.Sort(others)
	return slices.DeleteFunc(append(words, others...), func(word string) bool { return n[word] == 0 })
}

func sum(n map[string]int) (all int) {
	for _, v := range n {
		all += v
	}
	return all
}

// span is a time in fewer than seven characters: 41ms, 1.2s, 42s, 3m07s.
func span(s Seconds) string {
	d := s.Duration()
	switch {
	case d == 0:
		return "0s"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	default:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// elapsed is how long the run took from start to end.
func (r Run) elapsed() Seconds { return Seconds(r.Finished.Sub(r.Started).Seconds()) }

// clean makes foreign text safe to print on one line. Text from a proxy may contain
// escape sequences that a terminal would obey.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))), " ")
}

// refusal is a refusal on one line, empty when there was none.
func (a Attempt) refusal() string { return clean(a.Layer + " " + a.Reason) }

// verdictAndOutcome is the verdict and, if the verdict does not imply it, the
// outcome.
func (a Attempt) verdictAndOutcome() string {
	if a.Outcome == "pass" || a.Outcome == "" || a.Outcome == a.Verdict {
		return clean(a.Verdict)
	}
	return clean(a.Verdict + ", " + a.Outcome)
}

// shown is verdictAndOutcome, and whether the outcome was accepted.
func (a Attempt) shown() string {
	if a.pardoned() {
		return a.verdictAndOutcome() + ", accepted"
	}
	return a.verdictAndOutcome()
}

// pardoned says whether an accepted CVE is all that is wrong with an attempt.
func (a Attempt) pardoned() bool { return a.Accepted && concernOf(a.Outcome) == vulnerable }

// look is the outcome whose colour an attempt has. An accepted CVE looks like a
// known limitation.
func (a Attempt) look() string {
	if a.pardoned() {
		return "gap"
	}
	return a.Outcome
}

// look is the outcome whose colour a scenario has.
func (s Scenario) look() string {
	if s.Accepted {
		return "gap"
	}
	return s.Outcome
}

// short is a window in a table cell: how many requests were served, until when, and
// how many of them after the first denial.
func (w *Window) short() string {
	if w == nil {
		return ""
	}
	if w.Served == 0 {
		return "0 served"
	}
	s := fmt.Sprintf("%d in %s", w.Served, span(w.LastLeak))
	if w.Late > 0 {
		s += fmt.Sprintf(", %d late", w.Late)
	}
	return s
}

// long is a window in full.
func (w *Window) long() string {
	s := fmt.Sprintf("%d served", w.Served)
	if w.Served > 0 {
		s += " until " + span(w.LastLeak)
	}
	if w.Late > 0 {
		s += fmt.Sprintf(", %d of them after the first denial", w.Late)
	}
	s += fmt.Sprintf(", first denial after %s, settled after %s", span(w.FirstDenial), span(w.Settled))
	if w.Budget > 0 {
		s += ", budget " + span(w.Budget)
	}
	return s
}

// heading names the mesh under attack and where it ran.
func (r Run) heading() string {
	s := r.Mesh
	if r.Release != "" {
		s += " " + r.Release
	}
	s += " on " + r.Provider
	if len(r.Misconfigured) > 0 {
		s += ", misconfigured by " + strings.Join(r.Misconfigured, ", ")
	}
	return clean(s)
}

// mishap says how the run's error affected it.
func (r Run) mishap() string {
	switch {
	case r.Interrupted && len(r.Scenarios) > 0:
		return "Interrupted: the report has what was judged until then"
	case r.Interrupted:
		return "Interrupted before anything was judged"
	case len(r.Scenarios) > 0:
		return "The run did not end cleanly"
	default:
		return "The set-up failed"
	}
}

// honest sums up the honest load.
func (t Totals) honest() string {
	s := fmt.Sprintf("%d requests, %d lost", t.HonestRequests, t.HonestLost)
	if t.ExpectedLost > 0 {
		s += fmt.Sprintf(", %d of them under misconfigurations that cause losses on purpose", t.ExpectedLost)
	}
	return s
}

// heading names the trial: whether the attempt is winnable with these
// misconfigurations.
func (t Trial) heading() string {
	s := "winnable when " + strings.Join(t.Misconfigure, " and ")
	if t.Opened {
		return s
	}
	return "not " + s
}

// losses says how much honest load was lost. It is empty when none was.
func (s Scenario) losses() string {
	if s.Load == nil || s.Load.Lost == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d lost at %d a second", s.Load.Lost, s.Load.Requests, s.Load.Rate)
	if s.Load.FirstLoss != "" {
		text += ", the first: " + s.Load.FirstLoss
	}
	return text
}
