package reports

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// A Difference is an attempt that two runs judged differently.
type Difference struct {
	Scenario, Attempt string
	First, Second     *Attempt // nil where that run does not have it
	// Flip says that both judged it and that their verdicts differ, or that one
	// of them does not have it. The rest is explained: another refusal, or a
	// place that cannot show it.
	Flip bool
}

// A pair is an attempt in two runs.
type pair struct {
	scenario, attempt string
	first, second     *Attempt
}

// pairs are the attempts of two runs, in the order of the first; what only the
// second has comes last.
func pairs(first, second Run) []pair {
	var out []pair
	at := map[[2]string]int{}
	for _, s := range first.Scenarios {
		for i := range s.Attempts {
			at[[2]string{s.ID, s.Attempts[i].ID}] = len(out)
			out = append(out, pair{scenario: s.ID, attempt: s.Attempts[i].ID, first: &s.Attempts[i]})
		}
	}
	for _, s := range second.Scenarios {
		for i := range s.Attempts {
			if n, ok := at[[2]string{s.ID, s.Attempts[i].ID}]; ok {
				out[n].second = &s.Attempts[i]
				continue
			}
			out = append(out, pair{scenario: s.ID, attempt: s.Attempts[i].ID, second: &s.Attempts[i]})
		}
	}
	return out
}

// word is what a run says of an attempt.
func word(a *Attempt) string {
	if a == nil {
		return "(not played)"
	}
	return strings.TrimSpace(a.verdictAndOutcome() + " " + a.refusal())
}

func (p pair) difference() (Difference, bool) {
	d := Difference{Scenario: p.scenario, Attempt: p.attempt, First: p.first, Second: p.second}
	if p.first == nil || p.second == nil {
		d.Flip = true
		return d, true
	}
	judged := concernOf(p.first.Outcome) != untried && concernOf(p.second.Outcome) != untried
	d.Flip = judged && p.first.verdictAndOutcome() != p.second.verdictAndOutcome()
	return d, word(p.first) != word(p.second)
}

// Compare lists the attempts that two runs judged differently, in the order of
// the first run.
func Compare(first, second Run) []Difference {
	var out []Difference
	for _, p := range pairs(first, second) {
		if d, differs := p.difference(); differs {
			out = append(out, d)
		}
	}
	return out
}

// SideBySide writes the verdicts of two runs beside each other, and then, for
// each that differs, what either run says about it.
func SideBySide(w io.Writer, first, second Run, page Page) error {
	var b strings.Builder
	b.WriteString(page.beside(first, second) + "\n\n")
	differ := Compare(first, second)
	for _, d := range differ {
		head := d.Scenario + " " + d.Attempt
		switch {
		case d.First == nil || d.Second == nil:
			head += ": only one run has it"
		case d.Flip:
			head += ": the verdict flips"
		}
		b.WriteString(page.bold().Render(clean(head)) + "\n")
		page.paragraph(&b, 2, first.heading()+": "+told(d.First))
		page.paragraph(&b, 2, second.heading()+": "+told(d.Second))
	}
	if len(differ) > 0 {
		b.WriteString("\n")
	}
	flips := 0
	for _, d := range differ {
		if d.Flip {
			flips++
		}
	}
	fmt.Fprintf(&b, "%d attempts, %d differ, %d of them in their verdict\n", len(pairs(first, second)), len(differ), flips)
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

func told(a *Attempt) string {
	if a == nil {
		return word(a)
	}
	return word(a) + ": " + cmp.Or(a.Why, "it does not say why")
}

// beside is the table: a row an attempt, with a sign before what differs.
func (p Page) beside(first, second Run) string {
	heads := []string{"", "ATTEMPT", strings.ToUpper(first.heading()), strings.ToUpper(second.heading())}
	if heads[2] == heads[3] {
		heads[2], heads[3] = heads[2]+" "+first.ID, heads[3]+" "+second.ID
	}
	var rows [][]cell
	scenario := ""
	for _, pair := range pairs(first, second) {
		if pair.scenario != scenario {
			scenario = pair.scenario
			rows = append(rows, []cell{{}, {clean(scenario), "title"}, {}, {}})
		}
		sign := cell{}
		if d, differs := pair.difference(); d.Flip {
			sign = cell{"!", "fail"}
		} else if differs {
			sign = cell{"~", ""}
		}
		rows = append(rows, []cell{sign, {"  " + clean(pair.attempt), ""}, worded(pair.first), worded(pair.second)})
	}
	return p.lay(heads, rows, p.halves(rows))
}

func worded(a *Attempt) cell {
	if a == nil {
		return cell{word(a), "skipped"}
	}
	return cell{word(a), a.Outcome}
}

// halves gives the attempts what they need, and each run half of the rest.
func (p Page) halves(rows [][]cell) []int {
	need := 0
	for _, r := range rows {
		need = max(need, lipgloss.Width(r[1].text))
	}
	name := min(need+2, p.columns()*3/8)
	half := max((p.columns()-3-name)/2, 12)
	return []int{3, name, half, half}
}
