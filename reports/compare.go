package reports

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// A Pair is an attempt in two runs.
type Pair struct {
	Scenario, Attempt string
	First, Second     *Attempt // nil where that run does not have it
}

// Pairs are the attempts of two runs, in the order of the first. Attempts that only
// the second has come last.
func Pairs(first, second Run) []Pair {
	var out []Pair
	at := map[[2]string]int{}
	for _, s := range first.Scenarios {
		for i := range s.Attempts {
			at[[2]string{s.ID, s.Attempts[i].ID}] = len(out)
			out = append(out, Pair{Scenario: s.ID, Attempt: s.Attempts[i].ID, First: &s.Attempts[i]})
		}
	}
	for _, s := range second.Scenarios {
		for i := range s.Attempts {
			if n, ok := at[[2]string{s.ID, s.Attempts[i].ID}]; ok {
				out[n].Second = &s.Attempts[i]
				continue
			}
			out = append(out, Pair{Scenario: s.ID, Attempt: s.Attempts[i].ID, Second: &s.Attempts[i]})
		}
	}
	return out
}

// Differs says whether the runs differ in verdict or refusal, or one of them could
// not show the attempt or does not have it.
func (p Pair) Differs() bool { return word(p.First) != word(p.Second) }

// Flips says whether both runs judged the attempt and their verdicts differ, or one
// of them does not have it.
func (p Pair) Flips() bool {
	if p.First == nil || p.Second == nil {
		return true
	}
	judged := concernOf(p.First.Outcome) != untried && concernOf(p.Second.Outcome) != untried
	return judged && p.First.verdictAndOutcome() != p.Second.verdictAndOutcome()
}

// word is what a run says of an attempt.
func word(a *Attempt) string {
	if a == nil {
		return "(not played)"
	}
	return strings.TrimSpace(a.verdictAndOutcome() + " " + a.refusal())
}

// SideBySide writes the verdicts of two runs side by side and then, for each that
// differs, the reason in each run. It returns how many flip.
func SideBySide(w io.Writer, first, second Run, page Page) (flips int, err error) {
	all := Pairs(first, second)
	var b strings.Builder
	b.WriteString(page.beside(first, second, all) + "\n\n")
	differ := 0
	for _, p := range all {
		if !p.Differs() {
			continue
		}
		differ++
		head := p.Scenario + " " + p.Attempt
		switch {
		case p.First == nil || p.Second == nil:
			head += ": only one run has this attempt"
		case p.Flips():
			head += ": the verdict flips"
		}
		if p.Flips() {
			flips++
		}
		b.WriteString(page.bold().Render(clean(head)) + "\n")
		page.paragraph(&b, 2, first.heading()+": "+told(p.First))
		page.paragraph(&b, 2, second.heading()+": "+told(p.Second))
	}
	if differ > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%d attempts, %d differ, %d of them in their verdict\n", len(all), differ, flips)
	_, err = io.WriteString(w, trimLines(b.String()))
	return flips, err
}

func told(a *Attempt) string {
	if a == nil {
		return word(a)
	}
	return word(a) + ": " + cmp.Or(a.Why, "no reason given")
}

// beside is the table: one row an attempt, with a sign if it differs.
func (p Page) beside(first, second Run, all []Pair) string {
	heads := []string{"", "ATTEMPT", strings.ToUpper(first.heading()), strings.ToUpper(second.heading())}
	if heads[2] == heads[3] {
		heads[2], heads[3] = heads[2]+" "+first.ID, heads[3]+" "+second.ID
	}
	var rows [][]cell
	scenario := ""
	for _, pair := range all {
		if pair.Scenario != scenario {
			scenario = pair.Scenario
			rows = append(rows, []cell{{}, {clean(scenario), "title"}, {}, {}})
		}
		sign := cell{}
		switch {
		case pair.Flips():
			sign = cell{"!", "fail"}
		case pair.Differs():
			sign = cell{"~", ""}
		}
		rows = append(rows, []cell{sign, {"  " + clean(pair.Attempt), ""}, worded(pair.First), worded(pair.Second)})
	}
	return p.lay(heads, rows, p.halves(rows))
}

func worded(a *Attempt) cell {
	if a == nil {
		return cell{word(a), "skipped"}
	}
	return cell{word(a), a.look()}
}

// halves gives the attempts the width they need, and each run half of the rest.
func (p Page) halves(rows [][]cell) []int {
	need := 0
	for _, r := range rows {
		need = max(need, lipgloss.Width(r[1].text))
	}
	name := min(need+2, p.columns()*3/8)
	half := max((p.columns()-3-name)/2, 12)
	return []int{3, name, half, half}
}
