package runner

import (
	"encoding/json"

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
	var outcomes []assertions.Outcome
	for _, s := range r.Scenarios {
		r.Totals.Outcomes[s.Outcome]++
		outcomes = append(outcomes, assertions.Outcome(s.Outcome))
		if s.Load != nil {
			r.Totals.HonestRequests += s.Load.Requests
			r.Totals.HonestLost += s.Load.Lost
		}
		for _, a := range s.Attempts {
			r.Totals.Verdicts[a.Verdict]++
			judgedLoad(r, a)
		}
	}
	r.Exit = assertions.Exit(outcomes)
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
