package scenarios

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
)

// apply asks for a policy and waits until it is settled: the mesh says so, and
// fresh knocks meet what the policy says.
func (p *player) apply(ctx context.Context, s Scenario, policy clusters.Policy) assertions.Change {
	if p.pulse != nil && p.pulse.policy != fingerprint(policy) {
		p.calmNow(ctx)
	}
	c := p.change(ctx, "apply policy", func(ctx context.Context) (clusters.Revision, error) {
		return p.stage.mesh.Apply(ctx, p.rg, policy)
	})
	if c.Error == "" && p.can(clusters.CanAuthorize) && !policy.Changes.Withhold {
		c.Note = p.fresh(ctx, s, policy)
		c.Settled = time.Now()
	}
	return c
}

// change makes a change and waits until the mesh says that it is settled.
func (p *player) change(ctx context.Context, what string, act func(context.Context) (clusters.Revision, error)) assertions.Change {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
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

// fresh knocks on new connections until what comes back is what the policy
// says, and returns what did not within the limit. That is no verdict: if the
// policy does not hold, the attempts will show it.
func (p *player) fresh(ctx context.Context, s Scenario, policy clusters.Policy) string {
	ctx, cancel := context.WithTimeout(ctx, freshLimit)
	defer cancel()
	target, err := p.rg.Workload(s.Cast.Target)
	if err != nil {
		return err.Error()
	}
	for _, from := range []string{"web", "thief", "outsider"} {
		w, err := p.rg.Workload(from)
		if err != nil {
			return err.Error()
		}
		q := clusters.Request{From: from, To: target.Name, Method: "POST", Path: "/v1/charge", Port: clusters.PortHTTP, Account: w.Account, Withmesh: w.Meshed}
		if !w.Meshed {
			q.From = ""
		}
		if served, want := p.until(ctx, w, target, policy.Admits(p.rg, q)); served != want {
			return fmt.Sprintf("a fresh request of %s was served: %v, by the policy it should be: %v", from, served, want)
		}
	}
	return ""
}

func (p *player) until(ctx context.Context, from, target clusters.Workload, want bool) (served, wanted bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		o, err := p.sessions[from.Name].Knock(ctx, attacker.Knock{
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

// through makes an attempt while changes are made: a lasting attack runs
// before, during and after them, any other comes after them.
func (p *player) through(ctx context.Context, s Scenario, a Attempt, weaken []string, rec *assertions.Record) {
	var load *pulse
	if rec.Expect.Verdict == assertions.Undisturbed {
		p.calmNow(ctx)
		var err error
		if load, err = p.startPulse(ctx, s, max(p.opts.Rate, disturbRate), disturbFresh); err != nil {
			rec.Fault = "honest load: " + err.Error()
			return
		}
		hold(ctx, loadBefore)
	}
	u := use{assertions.RoleAttempt, s.from(a), a.Attack, a.With}
	lasting := a.Attack != "" && lasts(a)
	var h *held
	if lasting {
		h = p.hold(ctx, s, u)
		h.wait(ctx, 3, time.Time{})
	}
	change := p.steps(ctx, s, a, a.Steps, weaken)
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
		rec.Pulse = &result
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
func (p *player) steps(ctx context.Context, s Scenario, a Attempt, steps []Step, weaken []string) assertions.Change {
	var sum assertions.Change
	var what []string
	for _, step := range steps {
		c := p.step(ctx, s, a, step, weaken)
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

func (p *player) step(ctx context.Context, s Scenario, a Attempt, step Step, weaken []string) assertions.Change {
	switch {
	case step.Apply != nil:
		policy, err := clusters.Weaken(*step.Apply, weaken...)
		if err != nil {
			return assertions.Change{What: "apply policy", Error: err.Error()}
		}
		return p.apply(ctx, s, policy)
	case step.Rotate != "":
		return p.change(ctx, "rotate "+string(step.Rotate), func(ctx context.Context) (clusters.Revision, error) {
			return p.stage.mesh.Authority(p.rg).Rotate(ctx, step.Rotate)
		})
	default:
		c := assertions.Change{What: "await " + step.Await, Asked: time.Now()}
		if err := p.await(ctx, s, step.Await, s.policy(a).Identity.Leaf); err != nil {
			c.Error = err.Error()
			return c
		}
		c.Settled = time.Now()
		return c
	}
}

// await waits until the friend's delivered leaf has run out, is due for its
// renewal, was renewed, or is valid.
func (p *player) await(ctx context.Context, s Scenario, what string, lifetime time.Duration) error {
	w, err := p.rg.Workload(s.Cast.Friend)
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	was := ""
	for {
		pair, err := p.stage.mesh.Authority(p.rg).Delivered(ctx, w)
		if err != nil {
			return err
		}
		leaf, err := parseLeaf(pair.Chain)
		if err != nil {
			return err
		}
		now := leaf.SerialNumber.Text(16)
		if was == "" {
			was = now
		}
		switch {
		case what == "expiry" && time.Now().After(leaf.NotAfter),
			what == "half-life" && time.Now().After(leaf.NotAfter.Add(-lifetime/2)),
			what == "renewal" && now != was,
			what == "validity" && time.Now().Before(leaf.NotAfter):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the leaf of %s saw no %s: %w", w.Name, what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func (p *player) restore(ctx context.Context, s Scenario, a Attempt, weaken []string, rec *assertions.Record) {
	if len(a.Restore) == 0 {
		return
	}
	if c := p.steps(ctx, s, a, a.Restore, weaken); c.Error != "" {
		rec.Fault = "restore: " + c.Error
	}
}

// lasts says whether an attempt runs until it is stopped.
func lasts(a Attempt) bool {
	attack, ok := known(a.Attack)
	if !ok {
		return false
	}
	raw, err := params(a.With)
	if err != nil {
		return false
	}
	decoded, err := attack.Decode(raw)
	if err != nil {
		return false
	}
	l, ok := decoded.(attacker.Lasting)
	return ok && l.Lasts()
}

// held is a lasting attack that runs.
type held struct {
	mu      sync.Mutex
	call    assertions.Call
	loot    []assertions.Loot
	running interface{ Stop(context.Context) error }
	changed chan struct{}
}

func (p *player) hold(ctx context.Context, s Scenario, u use) *held {
	h := &held{call: assertions.Call{Role: u.role, From: u.from, Attack: u.attack}, changed: make(chan struct{}, 1)}
	running, loot, err := p.start(ctx, s.Cast.Target, u, func(o attacker.Observation) {
		h.mu.Lock()
		h.call.Observations = append(h.call.Observations, o)
		h.mu.Unlock()
		select {
		case h.changed <- struct{}{}:
		default:
		}
	})
	h.loot = loot
	if err != nil {
		h.call.Error = err.Error()
		return h
	}
	h.running = running
	return h
}

// wait returns when n tries that began after since have ended, or after a
// second: an attack may have lost its connection for good.
func (h *held) wait(ctx context.Context, n int, since time.Time) {
	limit := time.NewTimer(freshLimit)
	defer limit.Stop()
	for {
		h.mu.Lock()
		got := 0
		for _, o := range h.call.Observations {
			if o.Start.After(since) {
				got++
			}
		}
		dead := h.call.Error != ""
		h.mu.Unlock()
		if got >= n || dead {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-h.changed:
		}
	}
}

func (h *held) stop(ctx context.Context) (assertions.Call, []assertions.Loot) {
	var err error
	if h.running != nil {
		err = h.running.Stop(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.call.Error = err.Error()
	}
	// Fresh requests overlap and are told in the order in which they end.
	slices.SortStableFunc(h.call.Observations, func(a, b attacker.Observation) int { return a.Start.Compare(b.Start) })
	return h.call, h.loot
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
