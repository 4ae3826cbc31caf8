package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// JUnit writes the report for a CI system. A scenario is a test suite, an attempt
// is a test case. Attempts that succeeded by a known CVE are in the first suite.
// Inconclusive is an error, unsupported is skipped, and a known limitation passes
// with a note.
func JUnit(w io.Writer, run Run) error {
	suites := junit.Testsuites{Name: "meshbreach " + run.heading(), Time: seconds(run.elapsed())}
	if s, some := knownCVESuite(run); some {
		suites.AddSuite(s)
	}
	if run.Error != "" {
		what := "set-up"
		if run.Interrupted || len(run.Scenarios) > 0 {
			what = "run"
		}
		s := suite(run, what, 0)
		s.AddTestcase(junit.Testcase{
			Name: what, Classname: "meshbreach." + what, Time: seconds(run.UpTime),
			Error: &junit.Result{Message: clean(run.mishap() + ": " + run.Error), Type: what, Data: printable(run.Error)},
		})
		suites.AddSuite(s)
	}
	for _, sc := range run.Scenarios {
		suites.AddSuite(scenarioSuite(run, sc))
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return suites.WriteXML(w)
}

func suite(run Run, name string, took Seconds) junit.Testsuite {
	s := junit.Testsuite{Name: clean(name), Time: seconds(took), Package: "meshbreach"}
	s.SetTimestamp(run.Started.UTC())
	s.AddProperty("run", clean(run.ID))
	s.AddProperty("mesh", clean(run.Mesh))
	s.AddProperty("release", clean(run.Release))
	s.AddProperty("provider", clean(run.Provider))
	if run.Proxy != "" {
		s.AddProperty("proxy", clean(run.Proxy))
	}
	return s
}

func scenarioSuite(run Run, sc Scenario) junit.Testsuite {
	s := suite(run, sc.ID, sc.Took)
	s.AddProperty("title", clean(sc.Title))
	s.AddProperty("pillar", clean(sc.Pillar))
	s.AddProperty("severity", clean(sc.Severity))
	if lost := sc.losses(); lost != "" {
		s.SystemOut = &junit.Output{Data: "honest load: " + clean(lost)}
	}
	said := len(sc.Attempts) > 0 && concernOf(sc.Outcome) < untried
	for _, a := range sc.Attempts {
		said = said || a.Outcome == sc.Outcome
		if concernOf(a.Outcome) != vulnerable { // see knownCVESuite
			s.AddTestcase(testcase(sc, a))
		}
	}
	if !said {
		// The scenario is worse than its attempts, for example because it lost
		// honest load. It needs a test case, or CI would show success.
		s.AddTestcase(testcase(sc, Attempt{ID: "scenario", Outcome: sc.Outcome, Verdict: sc.Outcome, Why: sc.Why, Took: sc.Took}))
	}
	return s
}

func testcase(sc Scenario, a Attempt) junit.Testcase {
	c := junit.Testcase{
		Name: clean(a.ID), Classname: strings.ReplaceAll(clean(sc.ID), "/", "."),
		Time: seconds(a.Took), Status: clean(a.Outcome),
	}
	r := &junit.Result{Message: clean(a.verdictAndOutcome() + ": " + a.Why), Type: clean(a.Outcome), Data: printable(a.details())}
	switch concernOf(a.Outcome) {
	case fine:
	case known:
		c.SystemOut = &junit.Output{Data: "known limitation, succeeds by design: " + printable(a.Why+"\n"+a.details())}
	case vulnerable:
		if a.Accepted {
			c.SystemOut = &junit.Output{Data: "accepted: " + printable(a.Why+"\n"+a.details())}
		} else {
			c.Failure = r
		}
	case untried:
		r.Data = ""
		c.Skipped = r
	case unknown:
		c.Error = r
	default:
		c.Failure = r
	}
	return c
}

// details is everything known about the attempt, one fact a line.
func (a Attempt) details() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("attack", a.Attack)
	line("expected", a.Expected)
	line("verdict", a.Verdict)
	line("why", a.Why)
	if a.refusal() != "" {
		line("refused", a.refused())
	}
	line("proof", a.Proof)
	line("alert", a.Alert)
	if a.Window != nil {
		line("exposure window", a.Window.long())
	}
	for _, t := range a.Mutants {
		line(t.heading(), t.Verdict+", "+t.Why)
	}
	return b.String()
}

// printable keeps lines and drops characters that XML does not allow.
func printable(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

func seconds(s Seconds) string { return fmt.Sprintf("%.3f", float64(s)) }
