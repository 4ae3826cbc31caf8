package reports

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the report for a pull request or the summary of a CI job.
func Markdown(w io.Writer, run Run) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## meshbreach: %s, %s\n\n", call(run.Exit), mark(run.heading()))
	if run.Error != "" {
		fmt.Fprintf(&b, "%s: %s\n\n", mark(run.mishap()), mark(run.Error))
	}
	markKnownCVEs(&b, run)
	fmt.Fprintf(&b, "| | |\n|---|---|\n")
	fmt.Fprintf(&b, "| scenarios | %d: %s |\n", len(run.Scenarios), mark(counts(run.Totals.Outcomes, outcomes())))
	fmt.Fprintf(&b, "| attempts | %d: %s |\n", sum(run.Totals.Verdicts), mark(counts(run.Totals.Verdicts, verdicts())))
	fmt.Fprintf(&b, "| honest load | %s |\n", run.Totals.honest())
	fmt.Fprintf(&b, "| time | %s, including %s until the mesh was up |\n", span(run.elapsed()), span(run.UpTime))
	if run.Proxy != "" {
		fmt.Fprintf(&b, "| proxy | %s |\n", mark(run.Proxy))
	}
	fmt.Fprintf(&b, "| run | %s, meshbreach %s |\n\n", code(run.ID), mark(run.Tool))
	markTroubles(&b, run)
	markLimitations(&b, run)
	markUntried(&b, run)
	markTable(&b, run)
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func markTroubles(b *strings.Builder, run Run) {
	first := true
	for _, s := range run.Scenarios {
		if concernOf(s.Outcome) < unknown && !s.troubled() {
			continue
		}
		if first {
			b.WriteString("### Needs attention\n\n")
			first = false
		}
		fmt.Fprintf(b, "#### %s: %s (%s, %s)\n\n%s\n\n", code(s.ID), mark(s.Outcome), mark(s.Severity), mark(s.Pillar), mark(s.Title))
		if s.Why != "" {
			fmt.Fprintf(b, "%s\n\n", mark(s.Why))
		}
		for _, a := range s.Attempts {
			if concernOf(a.Outcome) >= unknown {
				markFinding(b, a)
			}
		}
		if lost := s.losses(); lost != "" {
			fmt.Fprintf(b, "- honest load: %s\n", mark(lost))
		}
		b.WriteString("\n")
	}
}

func markFinding(b *strings.Builder, a Attempt) {
	fmt.Fprintf(b, "- %s: **%s**, expected %s. %s\n", code(a.ID), mark(a.verdictAndOutcome()), mark(a.Expected), mark(a.Why))
	if a.refusal() != "" {
		fmt.Fprintf(b, "  - refused: %s\n", code(a.refused()))
	}
	if a.Window != nil {
		fmt.Fprintf(b, "  - exposure window: %s\n", a.Window.long())
	}
	for _, t := range a.Mutants {
		if !t.Opened {
			fmt.Fprintf(b, "  - %s: %s, %s\n", mark(t.heading()), mark(t.Verdict), mark(t.Why))
		}
	}
}

func markLimitations(b *strings.Builder, run Run) {
	found := run.attempts(known)
	if len(found) == 0 {
		return
	}
	b.WriteString("### Known limitations\n\nThese attempts succeed by design and were detected. The risk remains.\n\n")
	for _, g := range found {
		fmt.Fprintf(b, "- %s: %s", code(g.name()), mark(g.Why))
		if g.Alert != "" {
			fmt.Fprintf(b, "; detected: %s", mark(g.Alert))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func markUntried(b *strings.Builder, run Run) {
	rows := run.attempts(untried)
	if len(rows) == 0 {
		return
	}
	b.WriteString("### Not judged\n\n")
	for _, r := range rows {
		fmt.Fprintf(b, "- %s: %s: %s\n", code(r.name()), mark(r.Verdict), mark(r.Why))
	}
	b.WriteString("\n")
}

func markTable(b *strings.Builder, run Run) {
	if len(run.Scenarios) == 0 {
		return
	}
	b.WriteString("<details><summary>All attempts</summary>\n\n")
	b.WriteString("| scenario | attempt | verdict | refusal | exposure window | time |\n|---|---|---|---|---|---|\n")
	for _, s := range run.Scenarios {
		for _, a := range s.Attempts {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", code(s.ID), code(a.ID),
				mark(a.shown()), code(a.refused()), a.Window.short(), span(a.Took))
		}
		if len(s.Attempts) == 0 {
			fmt.Fprintf(b, "| %s | | %s | | | %s |\n", code(s.ID), mark(s.Outcome), span(s.Took))
		}
	}
	b.WriteString("\n</details>\n")
}

// mark escapes foreign text: it must not become markup, HTML or a mention of a
// user.
func mark(s string) string {
	return strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`,
		"<", "&lt;", ">", "&gt;", "&", "&amp;", "#", `\#`, "@", "@\u200b",
	).Replace(clean(s))
}

// code writes foreign text as code in a table cell or a sentence.
func code(s string) string {
	s = clean(s)
	if s == "" {
		return ""
	}
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(s) + "`"
}
