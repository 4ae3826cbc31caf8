package reports

import (
	"fmt"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// A KnownCVE is a published vulnerability by which attempts succeeded. Every format
// shows these first.
type KnownCVE struct {
	ID       string   `json:"id"`
	Affected string   `json:"affected"` // range of releases
	Why      string   `json:"why"`
	Accepted bool     `json:"accepted"` // with --accept, so that it does not fail the run
	Attempts []string `json:"attempts"` // scenario and attempt, with a blank between
}

// heading names the CVE and says whether it was accepted.
func (c KnownCVE) heading() string {
	if c.Accepted {
		return c.ID + ", accepted"
	}
	return c.ID + ", not accepted"
}

// advice says what to do about the CVE.
func (c KnownCVE) advice() string {
	s := fmt.Sprintf("Releases %s are affected: upgrade", c.Affected)
	if c.Accepted {
		return s + "."
	}
	return s + ", or accept it with --accept " + c.ID + "."
}

func (p Page) knownCVEs(b *strings.Builder, run Run) {
	if len(run.KnownCVEs) == 0 {
		return
	}
	b.WriteString(p.bold().Render("Known CVEs: these attempts succeeded by a published vulnerability") + "\n\n")
	for _, c := range run.KnownCVEs {
		look := "known-cve"
		if c.Accepted {
			look = "gap"
		}
		b.WriteString("  " + p.style(look).Render(clean(c.heading())) + "\n")
		p.paragraph(b, 4, c.Why)
		p.paragraph(b, 4, c.advice())
		for _, a := range c.Attempts {
			p.paragraph(b, 6, a)
		}
	}
	b.WriteString("\n")
}

func markKnownCVEs(b *strings.Builder, run Run) {
	if len(run.KnownCVEs) == 0 {
		return
	}
	b.WriteString("### Known CVEs\n\nThese attempts succeeded by a published vulnerability.\n\n")
	for _, c := range run.KnownCVEs {
		fmt.Fprintf(b, "- **%s**: %s. %s\n", mark(c.heading()), mark(c.Why), mark(c.advice()))
		for _, a := range c.Attempts {
			fmt.Fprintf(b, "  - %s\n", code(a))
		}
	}
	b.WriteString("\n")
}

// knownCVESuite is the first test suite. It has the attempts that succeeded by a
// known CVE. The suites of their scenarios leave them out.
func knownCVESuite(run Run) (junit.Testsuite, bool) {
	s := suite(run, "known CVEs", 0)
	some := false
	for _, sc := range run.Scenarios {
		for _, a := range sc.Attempts {
			if concernOf(a.Outcome) == vulnerable {
				s.AddTestcase(testcase(sc, a))
				some = true
			}
		}
	}
	return s, some
}
