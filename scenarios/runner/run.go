// Package runner makes a mesh, runs scenarios on it and judges what happened.
//
// One attempt is a line of steps, a file each, in this order: prepare, settle,
// control, attack, fence, collect, judge. File scenario.go has the line; call.go
// and load.go have what several steps do: make one call, and run honest load.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// Options say what to run, and on what.
type Options struct {
	ID           string // of the run; every object carries it
	Tool         string // version of meshbreach
	Scenarios    []scenarios.Scenario
	Attacks      []attacker.Attack // those that the scenarios name; the probe has to carry them too
	Detectors    []detectors.Detector
	Provider     clusters.Provider
	Mesh         meshes.Mesh
	Release      meshes.Release
	Probe        string        // path of the probe binary
	Parallel     int           // ranges; 2 when zero
	Rate         int           // honest requests a second in each range; 50 when zero
	Timeout      time.Duration // for one scenario; when zero, DefaultTimeout or PatientTimeout
	UpTimeout    time.Duration // for the mesh to come up; PatientUpTimeout when zero
	Misconfigure []string      // misconfigurations that the whole run is made with; no mutants then
	Accept       []string      // ids of known CVEs that do not fail the run
	FailFast     bool          // start no further scenario after one failed
	Progress     Progress      // may be nil
	// Hook, for tests of the harness, is called at named moments of every
	// attempt. It may do damage through the cluster.
	Hook func(ctx context.Context, when Moment, c *clusters.Cluster, r clusters.Range)
}

// A Moment is a point in the course of an attempt.
type Moment string

// The moments.
const (
	BeforeAttempt Moment = "before-attempt"
	AfterAttempt  Moment = "after-attempt"
)

// Progress is told how a run goes. Calls come one at a time.
type Progress interface {
	Up(what string)      // what is being made now
	Waiting(what string) // what the set-up still waits for, every 10 s
	Started(id string)
	Finished(s reports.Scenario)
}

// Default values of Options.
const (
	DefaultParallel  = 2
	DefaultRate      = 50
	DefaultTimeout   = 60 * time.Second
	PatientTimeout   = 5 * time.Minute // where the mesh asks for patience
	DefaultUpTimeout = 2 * time.Minute
	PatientUpTimeout = 5 * time.Minute // where pods have to start
	undoLimit        = 2 * time.Minute // a cluster with nodes takes this long to delete
)

func (o Options) withDefaults() Options {
	o.Parallel = cmp.Or(o.Parallel, DefaultParallel)
	o.Rate = cmp.Or(o.Rate, DefaultRate)
	o.UpTimeout = cmp.Or(o.UpTimeout, PatientUpTimeout)
	o.Parallel = min(o.Parallel, max(1, len(o.Scenarios)))
	return o
}

// Run makes a mesh, runs the scenarios and judges them. The report is valid
// even when the error is not nil: it then says what could not be set up.
func Run(ctx context.Context, o Options) (reports.Run, error) {
	o = o.withDefaults()
	report := reports.Run{
		Schema: reports.Schema, ID: o.ID, Tool: o.Tool, Mesh: o.Mesh.Describe().Name, Release: o.Release.Version, Proxy: o.Release.Proxy,
		Provider: o.Provider.Name(), Misconfigured: o.Misconfigure, Accepted: o.Accept, Started: time.Now().UTC(),
	}
	if _, err := policy.Misconfigure(policy.Policy{}, o.Misconfigure...); err != nil {
		return failed(report, err), err
	}
	env, err := up(ctx, o)
	if err != nil {
		return failed(report, err), err
	}
	report.UpTime = reports.Seconds(time.Since(report.Started).Seconds())
	results := runAll(ctx, o, env)
	env.sweep(ctx)
	report.Scenarios = []reports.Scenario{}
	for _, res := range results {
		res.addLate()
		report.Scenarios = append(report.Scenarios, res.report())
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	err = env.close(down)
	if err != nil {
		report.Error = "clean up: " + err.Error()
	}
	report.Finished = time.Now().UTC()
	total(&report)
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
		report.Error, report.Interrupted = err.Error(), true
		report.Exit = max(report.Exit, 2)
	}
	return report, err
}

func failed(r reports.Run, err error) reports.Run {
	r.Error = err.Error()
	r.Finished = time.Now().UTC()
	r.Scenarios = []reports.Scenario{}
	total(&r)
	r.Exit = 2
	return r
}

// runAll hands the scenarios to the ranges, each to the first one that is free.
func runAll(ctx context.Context, o Options, env *environment) []*result {
	queue := make(chan scenarios.Scenario)
	var (
		mu   sync.Mutex
		out  []*result
		stop bool
		wg   sync.WaitGroup
	)
	tell := func(f func(Progress)) {
		if o.Progress != nil {
			f(o.Progress)
		}
	}
	for _, r := range env.ranges {
		wg.Go(func() {
			for s := range queue {
				mu.Lock()
				skip := stop || ctx.Err() != nil
				if !skip {
					tell(func(p Progress) { p.Started(s.ID) })
				}
				mu.Unlock()
				res := skipped(s, o)
				if !skip {
					res = r.run(ctx, s)
				}
				mu.Lock()
				out = append(out, res)
				report := res.report()
				stop = stop || o.FailFast && exit([]reports.Scenario{report}) == 1
				tell(func(p Progress) { p.Finished(report) })
				mu.Unlock()
			}
		})
	}
	for _, s := range longestFirst(o.Scenarios) {
		queue <- s
	}
	close(queue)
	wg.Wait()
	slices.SortFunc(out, func(a, b *result) int { return strings.Compare(a.scenario.ID, b.scenario.ID) })
	return out
}

// longestFirst starts scenarios with steps first, so that none of them runs on
// alone at the end.
func longestFirst(all []scenarios.Scenario) []scenarios.Scenario {
	weight := func(s scenarios.Scenario) int {
		n := 0
		for _, a := range s.Attempts {
			n += 10 * len(a.Steps)
		}
		return n + len(s.Attempts) + len(s.Mutants)
	}
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(a, b scenarios.Scenario) int { return weight(b) - weight(a) })
	return out
}
