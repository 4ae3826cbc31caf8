package runner

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
)

// apply asks for a policy and waits until it is settled: the mesh says so, and
// fresh requests meet what the policy says.
func (p *player) apply(ctx context.Context, s scenarios.Scenario, policy policy.Policy) assertions.Change {
	if p.load != nil && p.load.policy != fingerprint(policy) {
		p.calmNow(ctx)
	}
	c := p.change(ctx, "apply policy", func(ctx context.Context) (clusters.Revision, error) {
		return p.stage.mesh.Apply(ctx, p.rg, policy)
	})
	if c.Error == "" && p.can(meshes.CanAuthorize) && !policy.Changes.Withhold {
		c.Note = p.fresh(ctx, s, policy)
		c.Settled = time.Now()
	}
	return c
}

// change makes a change and waits until the mesh says that it is settled.
func (p *player) change(ctx context.Context, what string, act func(context.Context) (clusters.Revision, error)) assertions.Change {
	return p.changeWithin(ctx, p.patience(settleLimit), what, act)
}

// patience is how long a change may take: what it takes on most meshes, or what
// this one asks for.
func (p *player) patience(usual time.Duration) time.Duration {
	if m, ok := p.stage.mesh.(meshes.Patient); ok {
		return max(usual, m.Patience())
	}
	return usual
}

// evidenceTime is how long signals may take: where changes take long, so does
// what is read over the same ways.
func (p *player) evidenceTime() time.Duration {
	return max(evidenceLimit, p.patience(0)/5)
}

func (p *player) changeWithin(ctx context.Context, limit time.Duration, what string, act func(context.Context) (clusters.Revision, error)) assertions.Change {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := assertions.Change{What: what, Asked: time.Now()}
	rev, err := act(ctx)
	if err == nil {
		c.Revision = rev.ID
		err = p.stage.mesh.Settled(ctx, p.rg, rev)
	}
	if err != nil {
		c.Error = err.Error()
		return c
	}
	c.Settled = time.Now()
	return c
}

// fresh requests on new connections until what comes back is what the policy
// says, and returns what did not within the limit. That is no verdict: if the
// policy does not hold, the attempts will show it.
func (p *player) fresh(ctx context.Context, s scenarios.Scenario, declared policy.Policy) string {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	target, err := p.rg.Workload(s.Cast.Target)
	if err != nil {
		return err.Error()
	}
	for _, m := range clusters.Cast() {
		if !m.Sample {
			continue
		}
		from := m.Name
		w, err := p.rg.Workload(from)
		if err != nil {
			return err.Error()
		}
		q := policy.Request{From: from, To: target.Name, Method: "POST", Path: "/v1/charge", Port: clusters.PortHTTP, Account: w.Account, Withmesh: w.Meshed}
		if !w.Meshed {
			q.From = ""
		}
		if served, want := p.until(ctx, w, target, declared.Admits(p.rg, q)); served != want {
			return fmt.Sprintf("a fresh request of %s was served: %v, by the policy it should be: %v", from, served, want)
		}
	}
	return ""
}

func (p *player) until(ctx context.Context, from, target clusters.Workload, want bool) (served, wanted bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := p.sessions[from.Name].Request(ctx, attacker.Request{
			Nonce:   fmt.Sprintf("%s-%s-%d-fresh", p.opts.ID, p.rg.Name, p.next()),
			Address: net.JoinHostPort(target.Reached(from).String(), strconv.Itoa(clusters.PortHTTP)),
			Method:  "POST", Path: "/v1/charge", Host: target.Name + "." + target.Namespace,
		})
		served = err == nil && o.Refusal == nil
		if served == want {
			return served, want
		}
		select {
		case <-ctx.Done():
			return served, want
		case <-tick.C:
		}
	}
}
