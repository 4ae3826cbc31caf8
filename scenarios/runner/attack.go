package runner

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/scenarios"
)

// attack makes the attempt itself, while things are changed where it has steps,
// and takes the changes back.
func (r *rangeRunner) attack(ctx context.Context, p prepared, rec *assertions.Record) {
	r.hook(ctx, BeforeAttempt)
	if len(p.steps) > 0 {
		r.attackDuringChange(ctx, p, rec)
	} else {
		rec.Tries, rec.Loot = r.call(ctx, *p.attack)
	}
	r.hook(ctx, AfterAttempt)
	if len(p.restore) == 0 {
		return
	}
	if c := r.makeChanges(ctx, p, p.restore); c.Error != "" {
		fault(rec, "restore: %s", c.Error)
		return
	}
	r.fresh(ctx, p.scenario, p.policy)
}

func (r *rangeRunner) hook(ctx context.Context, when Moment) {
	if r.opts.Hook != nil {
		r.opts.Hook(ctx, when, r.env.cluster, r.Range)
	}
}

// The load that a change is judged by is dense.
const (
	changeRate = 200
	loadBefore = 200 * time.Millisecond
	loadAfter  = 300 * time.Millisecond
)

// attackDuringChange makes an attempt while changes are made: a lasting attack
// runs before, during and after them, any other comes after them.
func (r *rangeRunner) attackDuringChange(ctx context.Context, p prepared, rec *assertions.Record) {
	var dense *load
	if rec.Expect.Verdict == assertions.Undisturbed {
		r.endLoad(ctx)
		var err error
		if dense, err = r.startLoad(ctx, p.control, max(r.opts.Rate, changeRate)); err != nil {
			fault(rec, "honest load: %v", err)
			return
		}
		clusters.Pause(ctx, loadBefore)
	}
	var lasting *lastingCall
	if p.attack != nil && p.attack.lasts {
		lasting = r.startLasting(ctx, *p.attack)
		lasting.wait(ctx, 3, time.Time{})
	}
	change := r.makeChanges(ctx, p, p.steps)
	change.Budget = time.Duration(p.scenario.Window.Budget)
	rec.Change = &change
	switch {
	case lasting != nil:
		lasting.wait(ctx, 3, change.Holds())
		rec.Tries, rec.Loot = lasting.stop(ctx)
	case p.attack != nil:
		rec.Tries, rec.Loot = r.call(ctx, *p.attack)
	}
	if dense != nil {
		clusters.Pause(ctx, loadAfter)
		saw, err := dense.running.Stop(ctx)
		if err != nil {
			fault(rec, "honest load: %v", err)
		}
		rec.Load = &saw
	}
}

// makeChanges makes changes one after another and sums them up as one.
func (r *rangeRunner) makeChanges(ctx context.Context, p prepared, all []step) assertions.Change {
	var sum assertions.Change
	var what []string
	for _, s := range all {
		c := r.makeChange(ctx, p, s)
		if sum.Asked.IsZero() {
			sum.Asked = c.Asked
		}
		what = append(what, c.What)
		sum.Revision, sum.Settled, sum.Overdue, sum.Error, sum.Note = c.Revision, c.Settled, c.Overdue, c.Error, c.Note
		if c.Error != "" {
			break
		}
	}
	sum.What = strings.Join(what, ", ")
	return sum
}

func (r *rangeRunner) makeChange(ctx context.Context, p prepared, s step) assertions.Change {
	switch {
	case s.Apply != nil:
		return r.apply(ctx, p.scenario, s.policy)
	case s.Rotate != "":
		return r.change(ctx, "rotate "+string(s.Rotate), settleLimit, func(ctx context.Context) (clusters.Revision, error) {
			authority, err := r.env.mesh.Authority(r.Range)
			if err != nil {
				return clusters.Revision{}, err
			}
			return authority.Rotate(ctx, s.Rotate)
		})
	case s.Delete != "" || s.Recreate != "":
		return r.changeLife(ctx, s.Step)
	default:
		c := assertions.Change{What: "await " + s.Await, Asked: time.Now()}
		if err := r.await(ctx, p.scenario, s.Await, p.scenario.PolicyOf(p.attempt).Identity.Leaf); err != nil {
			c.Error = err.Error()
			return c
		}
		c.Settled = time.Now()
		return c
	}
}

// changeLife ends or begins a part of a workload's life.
func (r *rangeRunner) changeLife(ctx context.Context, s scenarios.Step) assertions.Change {
	part, verb, do := s.Delete, "delete", meshes.Lifecycle.Delete
	if s.Recreate != "" {
		part, verb, do = s.Recreate, "recreate", meshes.Lifecycle.Recreate
	}
	what := fmt.Sprintf("%s the %s of %s", verb, part, s.Of)
	mesh, ok := r.env.mesh.(meshes.Lifecycle)
	if !ok {
		return assertions.Change{What: what, Error: "mesh " + r.opts.Mesh.Describe().Name + " knows no lives of workloads"}
	}
	w, err := r.Workload(s.Of)
	if err != nil {
		return assertions.Change{What: what, Error: err.Error()}
	}
	return r.change(ctx, what, lifeLimit, func(ctx context.Context) (clusters.Revision, error) {
		return do(mesh, ctx, r.Range, w, part)
	})
}

// await waits until the leaves delivered to the friend and to the target have
// expired, are due for renewal, were renewed, or are valid.
func (r *rangeRunner) await(ctx context.Context, s scenarios.Scenario, what string, lifetime time.Duration) error {
	var was []*x509.Certificate
	for {
		now, err := r.delivered(ctx, s.Cast.Friend, s.Cast.Target)
		if err != nil {
			return err
		}
		if was == nil {
			was = now
		}
		if reached(what, was, now, lifetime) {
			return nil
		}
		if !clusters.Pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("the leaves saw no %s: %w", what, context.Cause(ctx))
		}
	}
}

// reached says whether all leaves have come to a point of their life.
func reached(what string, was, now []*x509.Certificate, lifetime time.Duration) bool {
	at := time.Now()
	for i, leaf := range now {
		// A certificate is still valid in the second that it names.
		end := leaf.NotAfter.Add(time.Second)
		ok := false
		switch what {
		case "expiry":
			ok = at.After(end)
		case "half-life":
			ok = at.After(leaf.NotAfter.Add(-lifetime / 2))
		case "renewal":
			ok = leaf.SerialNumber.Cmp(was[i].SerialNumber) != 0
		case "validity":
			ok = at.Before(leaf.NotAfter)
		}
		if !ok {
			return false
		}
	}
	return true
}

// delivered are the leaves that workloads hold.
func (r *rangeRunner) delivered(ctx context.Context, names ...string) ([]*x509.Certificate, error) {
	authority, err := r.env.mesh.Authority(r.Range)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, name := range names {
		w, err := r.Workload(name)
		if err != nil {
			return nil, err
		}
		pair, err := authority.Delivered(ctx, w)
		if err != nil {
			return nil, err
		}
		leaf, err := parseLeaf(pair.Chain)
		if err != nil {
			return nil, err
		}
		out = append(out, leaf)
	}
	return out, nil
}
