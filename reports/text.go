package reports

import (
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// Text writes the report for people: known CVEs, a table grouped by scenario, then
// explanations, then totals.
func Text(w io.Writer, run Run, page Page) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", page.bold().Render("meshbreach "+clean(run.Tool)+": "+run.heading()))
	if run.Error != "" {
		b.WriteString(page.style("fail").Render(run.mishap()) + "\n")
		page.paragraph(&b, 2, run.Error)
		b.WriteString("\n")
	}
	page.knownCVEs(&b, run)
	if len(run.Scenarios) > 0 {
		b.WriteString(page.table(run) + "\n\n")
	}
	page.troubles(&b, run)
	page.limitations(&b, run)
	page.untried(&b, run)
	page.totals(&b, run)
	// The table pads its cells with blanks.
	_, err := io.WriteString(w, trimLines(b.String()))
	return err
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// paragraph writes text wrapped to the page behind an indent.
func (p Page) paragraph(b *strings.Builder, indent int, text string) {
	blanks := strings.Repeat(" ", indent)
	for line := range strings.SplitSeq(wrap(clean(text), p.columns()-indent), "\n") {
		b.WriteString(blanks + strings.TrimRight(line, " ") + "\n")
	}
}

// wrap breaks lines at blanks, and long words after _ and /.
func wrap(s string, width int) string { return lipgloss.Wrap(s, width, "_/") }

func (p Page) troubles(b *strings.Builder, run Run) {
	first := true
	for _, s := range run.Scenarios {
		if concernOf(s.Outcome) < unknown && !s.troubled() {
			continue
		}
		if first {
			b.WriteString(p.bold().Render("Needs attention") + "\n")
			first = false
		}
		p.trouble(b, s)
	}
	if !first {
		b.WriteString("\n")
	}
}

// troubled says whether an attempt needs an explanation, even if its scenario does
// not.
func (s Scenario) troubled() bool {
	for _, a := range s.Attempts {
		if concernOf(a.Outcome) >= unknown {
			return true
		}
	}
	return false
}

func (p Page) trouble(b *strings.Builder, s Scenario) {
	fmt.Fprintf(b, "\n  %s  %s  %s\n", p.bold().Render(clean(s.ID)), p.style(s.Outcome).Render(clean(s.Outcome)),
		p.faint().Render(clean(s.Severity+", "+s.Pillar)))
	p.paragraph(b, 4, s.Title)
	if s.Why != "" {
		p.paragraph(b, 4, s.Why)
	}
	for _, a := range s.Attempts {
		if concernOf(a.Outcome) < unknown {
			continue
		}
		p.paragraph(b, 4, fmt.Sprintf("%s: %s, expected %s", a.ID, a.verdictAndOutcome(), a.Expected))
		p.paragraph(b, 6, a.Why)
		if a.refusal() != "" {
			p.paragraph(b, 6, "refused: "+a.refused())
		}
		if a.Window != nil {
			p.paragraph(b, 6, "exposure window: "+a.Window.long())
		}
		for _, t := range a.Mutants {
			if !t.Opened {
				p.paragraph(b, 6, t.heading()+": "+t.Verdict+", "+t.Why)
			}
		}
	}
	if lost := s.losses(); lost != "" {
		p.paragraph(b, 4, "honest load: "+lost)
	}
}

// refused is a refusal with its source.
func (a Attempt) refused() string {
	if a.By == "" {
		return a.refusal()
	}
	return a.refusal() + " by " + clean(a.By)
}

func (p Page) limitations(b *strings.Builder, run Run) {
	found := run.attempts(known)
	if len(found) == 0 {
		return
	}
	b.WriteString(p.bold().Render("Known limitations: these attempts succeed by design. The risk remains.") + "\n\n")
	for _, g := range found {
		p.paragraph(b, 2, g.name())
		p.paragraph(b, 4, g.Why)
		if g.Alert != "" {
			p.paragraph(b, 4, "detected: "+g.Alert)
		}
	}
	b.WriteString("\n")
}

func (p Page) untried(b *strings.Builder, run Run) {
	rows := run.attempts(untried)
	if len(rows) == 0 {
		return
	}
	b.WriteString(p.bold().Render("Not judged") + "\n\n")
	for _, r := range rows {
		p.paragraph(b, 2, r.name()+": "+r.Verdict+": "+r.Why)
	}
	b.WriteString("\n")
}

// A placed attempt is an attempt with the id of its scenario.
type placed struct {
	Scenario string
	Attempt
}

func (p placed) name() string { return p.Scenario + " " + p.ID }

func (r Run) attempts(c concern) []placed {
	var out []placed
	for _, s := range r.Scenarios {
		for _, a := range s.Attempts {
			if concernOf(a.Outcome) == c {
				out = append(out, placed{s.ID, a})
			}
		}
	}
	return out
}

func (p Page) totals(b *strings.Builder, run Run) {
	p.labelled(b, "scenarios", fmt.Sprintf("%d: %s", len(run.Scenarios), counts(run.Totals.Outcomes, outcomes())))
	p.labelled(b, "attempts", fmt.Sprintf("%d: %s", sum(run.Totals.Verdicts), counts(run.Totals.Verdicts, verdicts())))
	p.labelled(b, "honest load", run.Totals.honest())
	p.labelled(b, "time", fmt.Sprintf("%s, including %s until the mesh was up", span(run.elapsed()), span(run.UpTime)))
	if run.Proxy != "" {
		p.labelled(b, "proxy", run.Proxy)
	}
	if len(p.Reports) > 0 {
		p.labelled(b, "reports", strings.Join(p.Reports, " "))
	}
	fmt.Fprintf(b, "%-13s%s (exit %d)\n", "result", p.exitStyle(run.Exit).Render(call(run.Exit)), run.Exit)
}

func (p Page) exitStyle(exit int) lipgloss.Style {
	switch exit {
	case 0:
		return p.style("pass")
	case 3:
		return p.style("inconclusive")
	default:
		return p.style("fail")
	}
}

// labelled writes a label and, indented beside it, a paragraph.
func (p Page) labelled(b *strings.Builder, label, text string) {
	const indent = 13
	var body strings.Builder
	p.paragraph(&body, indent, text)
	fmt.Fprintf(b, "%-*s%s", indent, label, body.String()[indent:])
}
