package runner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// skipped is a scenario that was not played.
func skipped(s scenarios.Scenario, o Options) *played {
	out := &played{scenario: s, skip: "not played: the run was ended before"}
	for _, a := range s.Attempts {
		out.attempts = append(out.attempts, tried{attempt: a, record: assertions.Record{
			Scenario: s.ID, Attempt: a.ID, Mesh: o.Mesh.Describe().Name, Target: s.Cast.Target, Expect: a.Expect[o.Mesh.Describe().Name].For(o.Release.Version), Fault: out.skip,
		}})
	}
	return out
}

// late hangs receipts that were not there when the attempt was judged onto its
// record.
func (pl *played) late() {
	if pl.player == nil {
		return
	}
	add := func(rec *assertions.Record) {
		if pl.player.blind != "" && rec.Fault == "" {
			rec.Fault = "the last sweep could not be made: " + pl.player.blind
		}
		for _, n := range rec.Nonces() {
			for _, r := range pl.player.seen[n] {
				known := func(x attacker.Receipt) bool { return x.Epoch == r.Epoch && x.Seq == r.Seq }
				if !slices.ContainsFunc(rec.Receipts, known) {
					rec.Late = append(rec.Late, r)
				}
			}
		}
	}
	for i := range pl.attempts {
		add(&pl.attempts[i].record)
		for j := range pl.attempts[i].trials {
			add(&pl.attempts[i].trials[j].record)
		}
	}
}

// report judges what was played and puts it into the report's types.
func (pl *played) report() reports.Scenario {
	s := pl.scenario
	out := reports.Scenario{
		ID: s.ID, Title: s.Title, Pillar: s.Pillar, Severity: s.Severity, Maps: s.Maps,
		Took: reports.Seconds(pl.took.Seconds()), Attempts: []reports.Attempt{},
	}
	var accepted []string
	if pl.player != nil {
		out.Range, accepted = pl.player.rg.Name, pl.player.opts.Accept
	}
	for _, t := range pl.attempts {
		a := t.report()
		if pl.skip != "" {
			a.Verdict, a.Outcome, a.Why = string(assertions.Skipped), string(assertions.OutcomeSkipped), pl.skip
		}
		out.Attempts = append(out.Attempts, a)
	}
	if pl.load.Requests > 0 {
		out.Load = &reports.Load{
			Rate: pl.rate, Requests: pl.load.Requests, Lost: pl.load.Lost,
			P50: reports.Seconds(pl.load.P50.Seconds()), P99: reports.Seconds(pl.load.P99.Seconds()),
		}
		if pl.load.Lost > 0 {
			out.Load.FirstLoss = pl.load.Losses[0].Why
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

// Rejudge judges the stored records of a report again and returns the report
// with the verdicts that they give now. CVEs are accepted beside those that the
// report has as accepted.
func Rejudge(r reports.Run, accept ...string) (reports.Run, error) {
	for _, id := range accept {
		if !slices.Contains(r.Accepted, id) {
			r.Accepted = append(slices.Clip(r.Accepted), id)
		}
	}
	r.Scenarios = slices.Clone(r.Scenarios) // the lists of the caller stay as they are
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		s.Attempts = slices.Clone(s.Attempts)
		for j := range s.Attempts {
			a, err := rejudged(s.Attempts[j])
			if err != nil {
				return r, fmt.Errorf("record of %s %s: %w", s.ID, s.Attempts[j].ID, err)
			}
			s.Attempts[j] = a
		}
		conclude(s, r.Accepted)
	}
	exit := r.Exit
	total(&r)
	if exit == 2 {
		r.Exit = exit
	}
	return r, nil
}

func rejudged(a reports.Attempt) (reports.Attempt, error) {
	if a.Verdict == string(assertions.Skipped) {
		return a, nil
	}
	t := tried{attempt: scenarios.Attempt{ID: a.ID, Attack: a.Attack}, took: a.Took.Duration()}
	if err := json.Unmarshal(a.Record, &t.record); err != nil {
		return a, err
	}
	for _, m := range a.Mutants {
		tr := trial{misconfigure: m.Misconfigure}
		if err := json.Unmarshal(m.Record, &tr.record); err != nil {
			return a, err
		}
		t.trials = append(t.trials, tr)
	}
	return t.report(), nil
}

// RecordType is a value of the type that verdicts are judged from, for the
// published schema of reports.
func RecordType() any { return assertions.Record{} }
