package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
)

// A player plays scenarios on one range, one after another.
type player struct {
	opts     Options
	stage    *stage
	able     []meshes.Capability
	rg       clusters.Range
	sessions map[string]*session.Client
	count    int                           // of calls, for nonces
	seen     map[string][]attacker.Receipt // by nonce, without the load's
	cursor   map[string]uint64             // last sequence read, by workload
	load     *load
	total    attacker.LoadResult // of the scenario's loads that have ended
	blind    string              // why the last sweep could not be made
}

// next numbers calls, for nonces.
func (p *player) next() int {
	p.count++
	return p.count
}

// Limits of waits. Running out of one is inconclusive.
const (
	settleLimit   = 10 * time.Second
	lifeLimit     = 20 * time.Second // a platform believes for 10 s what it once found to be true
	evidenceLimit = 2 * time.Second
	freshLimit    = time.Second
)

// played is a scenario that was played: the records that it is judged from.
type played struct {
	player   *player
	scenario scenarios.Scenario
	attempts []tried
	load     attacker.LoadResult
	rate     int
	took     time.Duration
	skip     string
}

// tried is an attempt's record, and those of it under mutants.
type tried struct {
	attempt scenarios.Attempt
	record  assertions.Record
	took    time.Duration
	trials  []trial
}

type trial struct {
	misconfigure []string
	record       assertions.Record
}

// limit is how long a scenario may take.
func (p *player) limit() time.Duration {
	usual := DefaultTimeout
	if p.patience(0) > 0 {
		usual = PatientTimeout
	}
	return cmp.Or(p.opts.Timeout, usual)
}

func (p *player) play(ctx context.Context, s scenarios.Scenario) *played {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.limit())
	defer cancel()
	out := &played{player: p, scenario: s, rate: p.opts.Rate}
	for _, a := range s.Attempts {
		start := time.Now()
		t := tried{attempt: a, record: p.judgedTwice(ctx, s, a)}
		t.took = time.Since(start)
		out.attempts = append(out.attempts, t)
	}
	p.calm(ctx, out)
	if p.can(meshes.CanAuthorize) && len(p.opts.Misconfigure) == 0 {
		p.mutate(ctx, s, out)
		p.apply(ctx, s, s.Policy)
	}
	out.took = time.Since(began)
	return out
}

func (p *player) can(c meshes.Capability) bool { return slices.Contains(p.able, c) }

// judgedTwice makes an attempt, and makes it again where the first could not
// be told. What the first one saw stays in the record, so that a second try
// never hides a leak of the first.
func (p *player) judgedTwice(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt) assertions.Record {
	rec := p.attempt(ctx, s, a, p.opts.Misconfigure, true)
	if f := assertions.Judge(rec); f.Outcome != assertions.Unjudged || ctx.Err() != nil {
		return rec
	}
	again := p.attempt(ctx, s, a, p.opts.Misconfigure, true)
	rec.Tries.Change = rec.Change
	again.Earlier = append([]assertions.Call{rec.Tries}, rec.Earlier...)
	again.Receipts = append(again.Receipts, p.of(rec.Tries.Observations)...)
	return again
}

// mutate weakens the policy in every way that the scenario names and tries
// again what has to win then.
func (p *player) mutate(ctx context.Context, s scenarios.Scenario, out *played) {
	for _, m := range s.Mutants {
		if len(m.Meshes) > 0 && !slices.Contains(m.Meshes, p.opts.Mesh.Describe().Name) {
			continue
		}
		for _, id := range m.Opens {
			i := slices.IndexFunc(out.attempts, func(t tried) bool { return t.attempt.ID == id })
			if r := out.attempts[i].record; r.Expect.Verdict == assertions.Unsupported || len(r.Missing) > 0 {
				continue
			}
			rec := p.attempt(ctx, s, out.attempts[i].attempt, m.Misconfigure, false)
			if !assertions.Opened(rec, assertions.Judge(rec)) && ctx.Err() == nil {
				rec = p.attempt(ctx, s, out.attempts[i].attempt, m.Misconfigure, true)
			}
			out.attempts[i].trials = append(out.attempts[i].trials, trial{m.Misconfigure, rec})
		}
	}
}

// attempt makes one attempt under a misconfigured policy and records it; with
// sandwiched, between honest calls.
func (p *player) attempt(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, misconfigure []string, sandwiched bool) assertions.Record {
	mesh := p.opts.Mesh.Describe().Name
	e, told := a.Expect[mesh]
	rec := assertions.Record{
		Scenario: s.ID, Attempt: a.ID, Mesh: mesh, Target: s.Cast.Target, Misconfigured: misconfigure,
		Expect: e.For(p.opts.Release.Version), Breach: a.BreachOf(), Runs: p.runs(), Tries: assertions.Call{Role: assertions.RoleAttempt, From: s.From(a), Attack: a.Attack},
	}
	if !told {
		rec.Expect = assertions.Expectation{Verdict: assertions.Unsupported, Because: "the scenario says nothing of mesh " + mesh}
	}
	if rec.Expect.Verdict == assertions.Unsupported {
		return rec
	}
	policy, err := policy.Misconfigure(s.PolicyOf(a), misconfigure...)
	if err != nil {
		rec.Fault = err.Error()
		return rec
	}
	if rec.Missing = p.lacking(policy, a); unprovable(rec) {
		return rec
	}
	sandwiched = sandwiched && len(rec.Missing) == 0 // or else it cannot be called blocked
	// What is withheld is a change; there has to be something to change from.
	policy.Changes.Withhold = false
	change := p.apply(ctx, s, policy)
	rec.Apply = &change
	if change.Error != "" {
		return rec // no proxy is known to hold the policy that was to be tried
	}
	honest := s.Honest()
	control := use{role: assertions.RoleControl, from: s.Cast.Friend, attack: honest.Attack, with: honest.With}
	fence := control
	fence.role = assertions.RoleFence
	twin := use{role: assertions.RoleTwin, from: s.From(a), attack: a.Attack}
	if call := s.TwinOf(a); call != nil {
		twin.attack, twin.with = call.Attack, call.With
	}
	if twin.attack != a.Attack {
		rec.TwinAttack = twin.attack
	}
	if sandwiched {
		p.ensureLoad(ctx, s, a, policy)
		rec.Before = p.calls(ctx, s, control, twin)
	}
	p.meddle(ctx, BeforeAttempt)
	if len(a.Steps) > 0 {
		p.through(ctx, s, a, misconfigure, &rec)
	} else {
		rec.Tries, rec.Loot = p.call(ctx, s.Cast.Target, useOf(s, a))
	}
	p.meddle(ctx, AfterAttempt)
	p.restore(ctx, s, a, misconfigure, &rec)
	if sandwiched {
		rec.After = p.calls(ctx, s, fence, twin)
	}
	if err := p.collect(ctx); err != nil {
		rec.Fault = err.Error()
	}
	// Without honest calls around it nothing can be called blocked, so only
	// what a detector makes of it is worth waiting for.
	p.gather(ctx, policy, &rec, sandwiched || rec.Expect.Detected())
	if ctx.Err() != nil {
		rec.Fault = fmt.Sprintf("out of time: %v", context.Cause(ctx))
	}
	return rec
}

func (p *player) calls(ctx context.Context, s scenarios.Scenario, uses ...use) []assertions.Call {
	var out []assertions.Call
	for _, u := range uses {
		if u.attack == "" {
			continue
		}
		c, _ := p.call(ctx, s.Cast.Target, u)
		out = append(out, c)
	}
	return out
}

func (p *player) meddle(ctx context.Context, when Moment) {
	if p.opts.Meddle != nil {
		p.opts.Meddle(ctx, when, p.stage.cluster, p.rg)
	}
}

// collect reads the new receipts of everybody who serves.
func (p *player) collect(ctx context.Context) error {
	for _, w := range p.rg.Workloads {
		if !serves(w.Name) {
			continue
		}
		page, err := p.sessions[w.Name].Receipts(ctx, p.cursor[w.Name])
		if err != nil {
			return fmt.Errorf("receipts of %s: %w", w.Name, err)
		}
		p.cursor[w.Name] = page.Last
		if page.Lost > 0 {
			return fmt.Errorf("%s lost %d receipts before they were read", w.Name, page.Lost)
		}
		for _, r := range page.Items {
			if r.Nonce == "" || isLoad(r.Nonce) {
				continue
			}
			r.Workload = w.Name
			p.seen[r.Nonce] = append(p.seen[r.Nonce], r)
		}
	}
	return nil
}

// of are the receipts that carry the observations' nonces.
func (p *player) of(os []attacker.Observation) []attacker.Receipt {
	var out []attacker.Receipt
	for _, o := range os {
		out = append(out, p.seen[o.Nonce]...)
	}
	return out
}

// gather completes a record: receipts, the window, signals, alerts.
func (p *player) gather(ctx context.Context, policy policy.Policy, rec *assertions.Record, evidence bool) {
	all := slices.Clone(rec.Tries.Observations)
	for _, c := range slices.Concat(rec.Before, rec.After) {
		all = append(all, c.Observations...)
	}
	rec.Receipts = p.of(all)
	if c := rec.Change; c != nil {
		c.Window = assertions.Measure(c.Asked, c.Settled, rec.Tries.Observations, p.of(rec.Tries.Observations))
	}
	if !evidence || !p.can(meshes.CanSignal) || rec.Expect.Verdict == assertions.Undisturbed {
		return
	}
	if f := assertions.Judge(*rec); f.Verdict == assertions.Breached && !rec.Expect.Detected() {
		return
	}
	q := signals.Query{Since: since(*rec), Want: wanted(*rec)}
	if !rec.Expect.Detected() {
		all = rec.Tries.Observations
	}
	for _, o := range all {
		q.Nonces = append(append(q.Nonces, o.Nonce), o.LogKeys...)
		if o.Local.IsValid() {
			q.Sources = append(q.Sources, o.Local)
		}
		q.Sources = append(q.Sources, o.Related...)
	}
	limited, cancel := context.WithTimeout(ctx, p.evidenceTime())
	defer cancel()
	signals, err := p.stage.mesh.Evidence(limited, p.rg, q)
	if err != nil {
		rec.Fault = "evidence: " + err.Error()
	}
	rec.Signals = signals
	rec.Alerts = detectors.Alerts(detectors.All(), detectors.Input{
		Signals: signals, Range: p.rg, Policy: policy, Target: rec.Target, Settled: rec.Apply.Settled,
	})
}
