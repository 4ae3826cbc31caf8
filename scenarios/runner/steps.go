package runner

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
)

// through makes an attempt while changes are made: a lasting attack runs
// before, during and after them, any other comes after them.
func (p *player) through(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, misconfigure []string, rec *assertions.Record) {
	var load *load
	if rec.Expect.Verdict == assertions.Undisturbed {
		p.calmNow(ctx)
		var err error
		if load, err = p.startLoad(ctx, s, max(p.opts.Rate, disturbRate), disturbFresh); err != nil {
			rec.Fault = "honest load: " + err.Error()
			return
		}
		hold(ctx, loadBefore)
	}
	u := useOf(s, a)
	lasting := a.Attack != "" && lasts(a)
	var h *held
	if lasting {
		h = p.hold(ctx, s.Cast.Target, u)
		h.wait(ctx, 3, time.Time{})
	}
	change := p.steps(ctx, s, a, a.Steps, misconfigure)
	change.Budget = time.Duration(s.Window.Budget)
	rec.Change = &change
	switch {
	case lasting:
		h.wait(ctx, 3, change.Settled)
		rec.Tries, rec.Loot = h.stop(ctx)
	case a.Attack != "":
		rec.Tries, rec.Loot = p.call(ctx, s.Cast.Target, u)
	}
	if load != nil {
		hold(ctx, loadAfter)
		result, err := load.stop(ctx)
		if err != nil {
			rec.Fault = "honest load: " + err.Error()
		}
		rec.Load = &result
	}
}

// The load that a change is judged by: dense, and half of it on fresh
// connections, so that a handshake that fails is seen.
const (
	disturbRate  = 200
	disturbFresh = 50
	loadBefore   = 200 * time.Millisecond
	loadAfter    = 300 * time.Millisecond
)

// hold lets load run for a while.
func hold(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// steps makes changes one after another and sums them up as one.
func (p *player) steps(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, steps []scenarios.Step, misconfigure []string) assertions.Change {
	var sum assertions.Change
	var what []string
	for _, step := range steps {
		c := p.step(ctx, s, a, step, misconfigure)
		if sum.Asked.IsZero() {
			sum.Asked = c.Asked
		}
		what = append(what, c.What)
		sum.Revision, sum.Settled, sum.Error, sum.Note = c.Revision, c.Settled, c.Error, c.Note
		if c.Error != "" {
			break
		}
	}
	sum.What = strings.Join(what, ", ")
	return sum
}

func (p *player) step(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, step scenarios.Step, misconfigure []string) assertions.Change {
	switch {
	case step.Apply != nil:
		policy, err := policy.Misconfigure(*step.Apply, misconfigure...)
		if err != nil {
			return assertions.Change{What: "apply policy", Error: err.Error()}
		}
		return p.apply(ctx, s, policy)
	case step.Rotate != "":
		return p.change(ctx, "rotate "+string(step.Rotate), func(ctx context.Context) (clusters.Revision, error) {
			authority, err := p.stage.mesh.Authority(p.rg)
			if err != nil {
				return clusters.Revision{}, err
			}
			return authority.Rotate(ctx, step.Rotate)
		})
	case step.Delete != "" || step.Recreate != "":
		return p.live(ctx, step)
	default:
		c := assertions.Change{What: "await " + step.Await, Asked: time.Now()}
		if err := p.await(ctx, s, step.Await, s.PolicyOf(a).Identity.Leaf); err != nil {
			c.Error = err.Error()
			return c
		}
		c.Settled = time.Now()
		return c
	}
}

// await waits until the leaves delivered to the friend and to the target have
// run out, are due for their renewal, were renewed, or are valid.
func (p *player) await(ctx context.Context, s scenarios.Scenario, what string, lifetime time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var was []*x509.Certificate
	for {
		now, err := p.delivered(ctx, s.Cast.Friend, s.Cast.Target)
		if err != nil {
			return err
		}
		if was == nil {
			was = now
		}
		if reached(what, was, now, lifetime) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the leaves saw no %s: %w", what, context.Cause(ctx))
		case <-tick.C:
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
func (p *player) delivered(ctx context.Context, names ...string) ([]*x509.Certificate, error) {
	authority, err := p.stage.mesh.Authority(p.rg)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, name := range names {
		w, err := p.rg.Workload(name)
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

func (p *player) restore(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, misconfigure []string, rec *assertions.Record) {
	if len(a.Restore) == 0 {
		return
	}
	c := p.steps(ctx, s, a, a.Restore, misconfigure)
	if c.Error != "" {
		rec.Fault = "restore: " + c.Error
		return
	}
	if policy, err := policy.Misconfigure(s.PolicyOf(a), misconfigure...); err == nil {
		p.fresh(ctx, s, policy)
	}
}

// lasts says whether an attempt runs until it is stopped.
func lasts(a scenarios.Attempt) bool { return lasting(a.Attack, a.With) }

// lasting says whether a use of an attack does.
func lasting(name string, with map[string]any) bool {
	l, ok := scenarios.DecodedParameters(name, with).(attacker.Lasting)
	return ok && l.Lasts()
}

func parseLeaf(chain []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, fmt.Errorf("no certificate in the delivered chain")
	}
	return x509.ParseCertificate(block.Bytes)
}

func serial(chain []byte) string {
	leaf, err := parseLeaf(chain)
	if err != nil {
		return ""
	}
	return leaf.SerialNumber.Text(16)
}
