package runner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// skipped is a scenario that was not run.
func skipped(s scenarios.Scenario, o Options) *result {
	out := &result{scenario: s, skip: "not played: the run was ended before"}
	for _, a := range s.Attempts {
		out.attempts = append(out.attempts, tried{attempt: a, record: assertions.Record{
			Scenario: s.ID, Attempt: a.ID, Mesh: o.Mesh.Describe().Name, Target: s.Cast.Target, Expect: a.Expect[o.Mesh.Describe().Name].For(o.Release.Version), Fault: out.skip,
		}})
	}
	return out
}

// report judges the records of a scenario and puts the findings into the
// report's types.
func (res *result) report() reports.Scenario {
	s := res.scenario
	out := reports.Scenario{
		ID: s.ID, Title: s.Title, Pillar: s.Pillar, Severity: s.Severity, Maps: s.Maps,
		Took: reports.Seconds(res.took.Seconds()), Attempts: []reports.Attempt{},
	}
	var accepted []string
	if res.on != nil {
		out.Range, accepted = res.on.Name, res.on.opts.Accept
	}
	for _, t := range res.attempts {
		a := t.report()
		if res.skip != "" {
			a.Verdict, a.Outcome, a.Why = string(assertions.Skipped), string(assertions.OutcomeSkipped), res.skip
		}
		out.Attempts = append(out.Attempts, a)
	}
	if res.load.Requests > 0 {
		out.Load = &reports.Load{
			Rate: res.rate, Requests: res.load.Requests, Lost: res.load.Lost,
			P50: reports.Seconds(res.load.P50.Seconds()), P99: reports.Seconds(res.load.P99.Seconds()),
		}
		if res.load.Lost > 0 {
			out.Load.FirstLoss = res.load.Losses[0].Why
		}
	}
	conclude(&out, accepted)
	return out
}

// conclude makes a scenario's outcome from those of its attempts and from the
// honest load that ran beside them. The accepted CVEs are those that do not
// fail a run.
func conclude(s *reports.Scenario, accepted []string) {
	var outcomes []assertions.Outcome
	all := true
	for i, a := range s.Attempts {
		outcomes = append(outcomes, assertions.Outcome(a.Outcome))
		s.Attempts[i].Accepted = a.CVE != "" && slices.Contains(accepted, a.CVE)
		all = all && (a.CVE == "" || s.Attempts[i].Accepted)
	}
	worst := assertions.Worst(outcomes...)
	s.Accepted = all && worst == assertions.KnownCVE
	if p := s.Load; p != nil && p.Lost > 0 && (worst == assertions.Pass || worst == assertions.Gap || s.Accepted) {
		s.Accepted = false
		s.Outcome = string(assertions.Fail)
		s.Why = fmt.Sprintf("%d of %d honest requests were lost while it was attacked, the first: %s", p.Lost, p.Requests, p.FirstLoss)
		return
	}
	s.Outcome, s.Why = string(worst), ""
	if worst == assertions.Pass {
		return
	}
	var why []string
	for _, a := range s.Attempts {
		if a.Outcome == s.Outcome {
			why = append(why, a.ID+": "+a.Why)
		}
	}
	s.Why = strings.Join(why, "; ")
}

func (t tried) report() reports.Attempt {
	f := assertions.Judge(t.record)
	out := reports.Attempt{
		ID: t.attempt.ID, Attack: t.attempt.Attack, Expected: t.record.Expect.String(), Verdict: string(f.Verdict), Outcome: string(f.Outcome),
		Why: f.Why, By: f.By, Layer: f.Layer, Reason: f.Reason, Proof: f.Proof, Alert: f.Alert,
		Took: reports.Seconds(t.took.Seconds()), Record: encode(t.record),
	}
	if f.Outcome == assertions.KnownCVE {
		out.CVE = t.record.Expect.CVE.ID
	}
	if c := t.record.Change; c != nil && c.Error == "" {
		out.Window = window(*c)
	}
	for _, tr := range t.trials {
		got := assertions.Judge(tr.record)
		opened := assertions.Opened(tr.record, got)
		out.Mutants = append(out.Mutants, reports.Trial{Misconfigure: tr.misconfigure, Verdict: string(got.Verdict), Opened: opened, Why: got.Why, Proof: got.Proof, Record: encode(tr.record)})
	}
	return withMutants(out)
}

// withMutants turns the outcome of an attempt that held, but also held, or
// could not be told, under a mutant that had to open it.
func withMutants(a reports.Attempt) reports.Attempt {
	for _, m := range a.Mutants {
		weak := strings.Join(m.Misconfigure, " and ")
		switch {
		case m.Opened:
		case m.Verdict == string(assertions.Inconclusive):
			a.Outcome = string(assertions.Worst(assertions.Outcome(a.Outcome), assertions.Unjudged))
			a.Why = fmt.Sprintf("with the misconfiguration %s it could not be decided: %s", weak, m.Why)
		default:
			a.Outcome = string(assertions.Worst(assertions.Outcome(a.Outcome), assertions.Invalid))
			a.Why = fmt.Sprintf("not winnable when %s (%s: %s), so a refusal proves nothing", weak, m.Verdict, m.Why)
		}
	}
	return a
}

func window(c assertions.Change) *reports.Window {
	return &reports.Window{
		Settled: reports.Seconds(c.Settled.Sub(c.Asked).Seconds()), FirstDenial: seconds(c.Window.FirstDenial),
		LastLeak: seconds(c.Window.LastLeak), Served: c.Window.Served, Late: c.Window.Late, Budget: reports.Seconds(c.Budget.Seconds()),
	}
}

func seconds(d time.Duration) reports.Seconds { return reports.Seconds(max(0, d).Seconds()) }

func encode(r assertions.Record) json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil {
		return json.RawMessage(fmt.Sprintf("{\"fault\":%q}", "encode record: "+err.Error()))
	}
	return b
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
