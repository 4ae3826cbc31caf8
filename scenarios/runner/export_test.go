package runner

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
)

// Openings makes every attempt under every misconfiguration, one at a time, and says
// which ones each opens.
func Openings(ctx context.Context, o Options) (map[string][]string, error) {
	o = o.withDefaults()
	env, err := up(ctx, o)
	if err != nil {
		return nil, err
	}
	queue := make(chan policy.Misconfiguration)
	out := map[string][]string{}
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for _, r := range env.ranges {
		wg.Go(func() {
			for w := range queue {
				opened := r.openings(ctx, w)
				mu.Lock()
				out[w.Name] = opened
				mu.Unlock()
			}
		})
	}
	for _, w := range policy.Misconfigurations() {
		queue <- w
	}
	close(queue)
	wg.Wait()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return out, env.close(limited)
}

// openingLimit bounds one attempt: a root takes long to change on some meshes.
const openingLimit = 2 * time.Minute

// apart says that an attempt has nothing to do with a misconfiguration, and would only
// take time. The policy may be the same with it and without. And what weakens the
// rules of a range changes neither how certificates end nor how they are rotated.
func (r *rangeRunner) apart(w policy.Misconfiguration, s scenarios.Scenario, a scenarios.Attempt) bool {
	mesh := r.opts.Mesh.Describe().Name
	late, _ := a.With["awaitExpiry"].(bool)
	turns := late || a.Expect[mesh].Verdict == assertions.Undisturbed ||
		slices.ContainsFunc(a.Steps, func(s scenarios.Step) bool { return s.Await != "" })
	if w.Scope == policy.ScopeRange && turns {
		return true
	}
	weak, err := policy.Misconfigure(s.PolicyOf(a), w.Name)
	if err != nil {
		return false // the attempt says so
	}
	plain, err := policy.Misconfigure(s.PolicyOf(a))
	return err == nil && reflect.DeepEqual(weak, plain)
}

func (r *rangeRunner) openings(ctx context.Context, w policy.Misconfiguration) []string {
	var out []string
	for _, s := range r.opts.Scenarios {
		for _, a := range s.Attempts {
			if r.apart(w, s, a) {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, openingLimit)
			rec := r.attempt(ctx, r.prepare(s, a, []string{w.Name}), false)
			cancel()
			f := assertions.Judge(rec)
			expected := rec.Expect.Verdict == assertions.Breached && !rec.Expect.Detected()
			if assertions.Opened(rec, f) && !expected {
				out = append(out, s.ID+" "+a.ID)
			}
		}
		r.apply(ctx, s, s.Policy)
	}
	slices.Sort(out)
	return out
}
