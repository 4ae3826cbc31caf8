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
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/scenarios"
)

// A rangeRunner runs scenarios on one range, one after another.
type rangeRunner struct {
	clusters.Range
	opts     Options
	env      *environment
	able     []meshes.Capability
	sessions map[string]*session.Client // by workload
	calls    int                        // made so far, for nonces
	load     *load                      // nil while none runs
	loaded   attacker.LoadResult        // of the scenario's loads that have ended

	receipts map[string][]attacker.Receipt // by nonce, without those of load
	read     map[string]uint64             // last sequence number that was read, by workload
	lost     []string                      // what was lost of the receipts since the attempt began
	blind    string                        // why the last sweep did not see everything

	overdue bool                     // a change was not put into effect by its limit
	longest map[string]time.Duration // that a change took to settle, by its kind
}

// A result is what came of a scenario: the records that it is judged from.
type result struct {
	on       *rangeRunner // nil when it was skipped
	scenario scenarios.Scenario
	attempts []tried
	load     attacker.LoadResult
	rate     int
	took     time.Duration
	skip     string // why it was not run
}

// tried is an attempt's record, and its records under mutants.
type tried struct {
	attempt scenarios.Attempt
	record  assertions.Record
	took    time.Duration
	trials  []trial
}

// A trial is an attempt under a mutant.
type trial struct {
	misconfigure []string
	record       assertions.Record
}

// limit is how long a scenario may take.
func (r *rangeRunner) limit() time.Duration {
	usual := DefaultTimeout
	if r.env.patience(0) > 0 {
		usual = PatientTimeout
	}
	return cmp.Or(r.opts.Timeout, usual)
}

func (r *rangeRunner) can(c meshes.Capability) bool { return slices.Contains(r.able, c) }

// nonce numbers calls.
func (r *rangeRunner) nonce() string {
	r.calls++
	return fmt.Sprintf("%s-%s-%d", r.opts.ID, r.Name, r.calls)
}

// run makes every attempt of a scenario, and then those again that its mutants
// have to open.
func (r *rangeRunner) run(ctx context.Context, s scenarios.Scenario) *result {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.limit())
	defer cancel()
	out := &result{on: r, scenario: s, rate: r.opts.Rate}
	var all []prepared
	for _, a := range s.Attempts {
		start := time.Now()
		p := r.prepare(s, a, r.opts.Misconfigure)
		all = append(all, p)
		out.attempts = append(out.attempts, tried{attempt: a, record: r.again(ctx, p), took: time.Since(start)})
	}
	r.endLoad(context.WithoutCancel(ctx))
	out.load, r.loaded = r.loaded, attacker.LoadResult{}
	if r.can(meshes.CanAuthorize) && len(r.opts.Misconfigure) == 0 {
		r.mutants(ctx, s, all, out)
		r.apply(ctx, s, s.Policy)
	}
	out.took = time.Since(began)
	return out
}

// attempt is the line of steps. It stops where there is nothing to go on with;
// the record says why. Without sandwich it makes no honest calls around the
// attack, so that nothing can be called blocked.
func (r *rangeRunner) attempt(ctx context.Context, p prepared, sandwich bool) assertions.Record {
	rec := p.record
	if p.hopeless {
		return rec
	}
	sandwich = sandwich && len(rec.Missing) == 0 // or else it cannot be called blocked
	r.lost = nil
	if !r.settle(ctx, p, &rec) {
		return rec
	}
	if sandwich {
		r.control(ctx, p, &rec)
	}
	r.attack(ctx, p, &rec)
	if sandwich {
		r.fence(ctx, p, &rec)
	}
	r.collect(ctx, p, &rec, sandwich)
	if ctx.Err() != nil {
		fault(&rec, "out of time: %v", context.Cause(ctx))
	}
	return rec
}

// fault notes why a record cannot be judged. The first reason comes first.
func fault(rec *assertions.Record, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	if rec.Fault != "" {
		why = rec.Fault + "; " + why
	}
	rec.Fault = why
}

// again makes an attempt, and makes it once more where the first one was
// inconclusive. What the first one saw stays in the record, so that a second
// try never hides a leak of the first.
func (r *rangeRunner) again(ctx context.Context, p prepared) assertions.Record {
	rec := r.attempt(ctx, p, true)
	if assertions.Judge(rec).Outcome != assertions.Unjudged || rec.Overdue() || ctx.Err() != nil {
		return rec
	}
	again := r.attempt(ctx, p, true)
	rec.Tries.Change = rec.Change
	again.Earlier = append([]assertions.Call{rec.Tries}, rec.Earlier...)
	again.Receipts = append(again.Receipts, r.receiptsOf(rec.Tries.Observations)...)
	return again
}

// mutants misconfigures the policy in every way that the scenario names and
// makes the attempts again that have to win then.
func (r *rangeRunner) mutants(ctx context.Context, s scenarios.Scenario, all []prepared, out *result) {
	for _, m := range s.Mutants {
		if len(m.Meshes) > 0 && !slices.Contains(m.Meshes, r.opts.Mesh.Describe().Name) {
			continue
		}
		for _, id := range m.Opens {
			i := slices.IndexFunc(all, func(p prepared) bool { return p.attempt.ID == id })
			tried := &out.attempts[i]
			if tried.record.Expect.Verdict == assertions.Unsupported || len(tried.record.Missing) > 0 || tried.record.Overdue() {
				continue // it shows nothing: the policy itself was not there, or cannot be
			}
			p := r.misconfigured(all[i], m.Misconfigure)
			rec := r.attempt(ctx, p, false)
			if !assertions.Opened(rec, assertions.Judge(rec)) && ctx.Err() == nil {
				rec = r.attempt(ctx, p, true)
			}
			tried.trials = append(tried.trials, trial{m.Misconfigure, rec})
		}
	}
}
