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

// Limits of the waits for changes.
const (
	settleLimit  = 10 * time.Second
	lifeLimit    = 20 * time.Second // a platform believes for 10 s what it once found to be true
	overdueLimit = time.Second      // once a change of the range was overdue
	freshLimit   = time.Second
)

// settle applies the policy of an attempt and waits for it. It is false when
// the attempt would prove nothing: the mesh did not take the policy, or a part
// of the mesh is not ready. A policy that was taken and is not in effect by the
// limit is attacked all the same.
func (r *rangeRunner) settle(ctx context.Context, p prepared, rec *assertions.Record) bool {
	change := r.apply(ctx, p.scenario, p.policy)
	rec.Apply = &change
	return !change.Holds().IsZero()
}

// apply asks for a policy and waits until it is settled: the mesh says so, and
// fresh requests meet what the policy says.
func (r *rangeRunner) apply(ctx context.Context, s scenarios.Scenario, p policy.Policy) assertions.Change {
	if r.load != nil && r.load.policy != fingerprint(p) {
		r.endLoad(ctx)
	}
	c := r.change(ctx, "apply policy", settleLimit, func(ctx context.Context) (clusters.Revision, error) {
		return r.env.mesh.Apply(ctx, r.Range, p)
	})
	if c.Error == "" && r.can(meshes.CanAuthorize) && !p.Changes.Withhold {
		c.Note = r.fresh(ctx, s, p)
		c.Settled = time.Now()
	}
	return c
}

// change makes a change and waits until the mesh says that it is settled.
func (r *rangeRunner) change(ctx context.Context, what string, usual time.Duration, act func(context.Context) (clusters.Revision, error)) assertions.Change {
	limited, cancel := context.WithTimeout(ctx, r.changeLimit(what, usual))
	defer cancel()
	c := assertions.Change{What: what, Asked: time.Now()}
	rev, err := act(limited)
	taken := err == nil
	if taken {
		c.Revision = rev.ID
		err = r.env.mesh.Settled(limited, r.Range, rev)
	}
	now := time.Now()
	if err == nil {
		c.Settled = now
		r.longest[what] = max(r.longest[what], now.Sub(c.Asked))
		return c
	}
	c.Error = err.Error()
	if taken && limited.Err() != nil && ctx.Err() == nil && !meshes.IsNotReady(err) {
		c.Overdue, r.overdue = now, true
	}
	return c
}

// changeLimit is how long a change may take. Where one was overdue, the next
// ones probably are too, and a mesh that enforces nothing must not end in a
// queue of limits: a change then gets a second, or three times as long as the
// slowest one of its kind took here.
func (r *rangeRunner) changeLimit(kind string, usual time.Duration) time.Duration {
	usual = r.env.patience(usual)
	if !r.overdue {
		return usual
	}
	return min(usual, max(overdueLimit, 3*r.longest[kind]))
}

// fresh sends requests on new connections until what comes back is what the
// policy says, and returns what did not within the limit. That is no verdict:
// if the policy does not hold, the attempts will show it.
func (r *rangeRunner) fresh(ctx context.Context, s scenarios.Scenario, declared policy.Policy) string {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	target, err := r.Workload(s.Cast.Target)
	if err != nil {
		return err.Error()
	}
	for _, m := range clusters.Cast() {
		if !m.Sample {
			continue
		}
		from := m.Name
		w, err := r.Workload(from)
		if err != nil {
			return err.Error()
		}
		q := policy.Request{From: from, To: target.Name, Method: "POST", Path: "/v1/charge", Port: clusters.PortHTTP, Account: w.Account, Withmesh: w.Meshed}
		if !w.Meshed {
			q.From = ""
		}
		want := declared.Admits(r.Range, q)
		if served := r.until(ctx, w, target, want); served != want {
			return fmt.Sprintf("a fresh request of %s was served: %v, by the policy it should be: %v", from, served, want)
		}
	}
	return ""
}

// until sends requests until they are served, or are not, as wanted.
func (r *rangeRunner) until(ctx context.Context, from, target clusters.Workload, want bool) (served bool) {
	for {
		o, err := r.sessions[from.Name].Request(ctx, attacker.Request{
			Nonce:   r.nonce() + "-fresh",
			Address: net.JoinHostPort(target.Reached(from).String(), strconv.Itoa(clusters.PortHTTP)),
			Method:  "POST", Path: "/v1/charge", Host: target.Name + "." + target.Namespace,
		})
		served = err == nil && o.Refusal == nil
		if served == want || !clusters.Pause(ctx, 5*time.Millisecond) {
			return served
		}
	}
}

// evidenceLimit is how long signals and receipts may take: where changes take
// long, so does what is read over the same ways.
func (r *rangeRunner) evidenceLimit() time.Duration {
	return max(2*time.Second, r.env.patience(0)/5)
}
