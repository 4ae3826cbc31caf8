package runner

import (
	"encoding/json"
	"slices"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
)

func finish(all []*played) []reports.Scenario {
	out := []reports.Scenario{}
	for _, pl := range all {
		out = append(out, pl.report())
	}
	return out
}

// total counts outcomes, verdicts and honest load, and sets the exit code.
func total(r *reports.Run) {
	r.Totals = reports.Totals{Outcomes: map[string]int{}, Verdicts: map[string]int{}}
	r.KnownCVEs = nil
	for _, s := range r.Scenarios {
		r.Totals.Outcomes[s.Outcome]++
		if s.Load != nil {
			r.Totals.HonestRequests += s.Load.Requests
			r.Totals.HonestLost += s.Load.Lost
		}
		for _, a := range s.Attempts {
			r.Totals.Verdicts[a.Verdict]++
			judgedLoad(r, a)
			knownCVE(r, s, a)
		}
	}
	r.Exit = exit(r.Scenarios)
}

// exit is the exit code of scenarios. A known CVE fails the run unless it was
// accepted, whatever else became of its scenario.
func exit(all []reports.Scenario) int {
	var outcomes []assertions.Outcome
	for _, s := range all {
		outcome := assertions.Outcome(s.Outcome)
		if outcome == assertions.KnownCVE {
			outcome = assertions.Gap // its attempts decide
		}
		outcomes = append(outcomes, outcome)
		for _, a := range s.Attempts {
			if a.CVE != "" && !a.Accepted {
				outcomes = append(outcomes, assertions.KnownCVE)
			}
		}
	}
	return assertions.Exit(outcomes)
}

// knownCVE adds an attempt to the list of known CVEs if it won by one.
func knownCVE(r *reports.Run, s reports.Scenario, a reports.Attempt) {
	var rec assertions.Record
	if a.CVE == "" || json.Unmarshal(a.Record, &rec) != nil || rec.Expect.CVE == nil {
		return
	}
	i := slices.IndexFunc(r.KnownCVEs, func(c reports.KnownCVE) bool { return c.ID == a.CVE })
	if i < 0 {
		i = len(r.KnownCVEs)
		r.KnownCVEs = append(r.KnownCVEs, reports.KnownCVE{ID: a.CVE, Affected: rec.Expect.CVE.Affected, Why: rec.Expect.Because, Accepted: a.Accepted})
	}
	r.KnownCVEs[i].Attempts = append(r.KnownCVEs[i].Attempts, s.ID+" "+a.ID)
}

// judgedLoad counts the honest load that an attempt was judged by, and what
// its mutants lost on purpose.
func judgedLoad(r *reports.Run, a reports.Attempt) {
	count := func(raw json.RawMessage, mutant bool) {
		var rec assertions.Record
		if json.Unmarshal(raw, &rec) != nil || rec.Load == nil {
			return
		}
		r.Totals.HonestRequests += rec.Load.Requests
		r.Totals.HonestLost += rec.Load.Lost
		if mutant {
			r.Totals.ExpectedLost += rec.Load.Lost
		}
	}
	count(a.Record, false)
	for _, m := range a.Mutants {
		count(m.Record, true)
	}
}
