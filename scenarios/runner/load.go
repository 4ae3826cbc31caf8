package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
)

// loadPrefix starts the nonces of honest load, whose receipts are not kept.
const loadPrefix = "load-"

func isLoad(nonce string) bool { return strings.HasPrefix(nonce, loadPrefix) }

// A load is honest load that runs.
type load struct {
	running *session.Load
	policy  string // fingerprint of the policy that it runs under
}

func (l *load) stop(ctx context.Context) (attacker.LoadResult, error) { return l.running.Stop(ctx) }

// load sees to it that honest load runs while an attempt is judged. Attempts
// that are judged by their load bring their own.
func (p *player) ensureLoad(ctx context.Context, s scenarios.Scenario, a scenarios.Attempt, policy policy.Policy) {
	if p.load != nil || len(a.Steps) > 0 {
		return
	}
	l, err := p.startLoad(ctx, s, p.opts.Rate, disturbFresh)
	if err != nil {
		return // the control, by the same path, says why
	}
	l.policy = fingerprint(policy)
	p.load = l
}

// calmNow ends the load, if any runs, and adds up what it saw.
func (p *player) calmNow(ctx context.Context) {
	if p.load == nil {
		return
	}
	r, err := p.load.stop(ctx)
	p.load = nil
	if err != nil {
		return // a probe that is gone is what the controls report
	}
	t := &p.total
	t.Requests += r.Requests
	t.Served += r.Served
	t.Lost += r.Lost
	t.P50, t.P99, t.Max = max(t.P50, r.P50), max(t.P99, r.P99), max(t.Max, r.Max)
	t.Losses = append(t.Losses, r.Losses...)
}

// calm ends the load and books it to the scenario.
func (p *player) calm(ctx context.Context, out *played) {
	p.calmNow(context.WithoutCancel(ctx))
	out.load, p.total = p.total, attacker.LoadResult{}
}

// startLoad starts honest load: the friend's control call, again and again.
func (p *player) startLoad(ctx context.Context, s scenarios.Scenario, rate, fresh int) (*load, error) {
	honest := s.Honest()
	raw, _, err := p.equip(ctx, honest.Attack, honest.With)
	if err != nil {
		return nil, err
	}
	var call attacks.HTTPRequest
	if err := json.Unmarshal(raw, &call); err != nil {
		return nil, fmt.Errorf("the control has to be an http-request: %w", err)
	}
	target, err := p.rg.Workload(s.Cast.Target)
	if err != nil {
		return nil, err
	}
	friend, err := p.rg.Workload(s.Cast.Friend)
	if err != nil {
		return nil, err
	}
	method, path := call.Request.Split()
	k := attacker.Request{
		Nonce:   fmt.Sprintf("%s%s-%s-%d", loadPrefix, p.opts.ID, p.rg.Name, p.next()),
		Address: net.JoinHostPort(target.Reached(friend).String(), strconv.Itoa(orDefaultPort(call.Port))),
		Method:  method, Path: path, Host: target.Name + "." + target.Namespace, Headers: call.Headers,
	}
	if call.Token != nil {
		k.Headers = map[string][]string{"Authorization": {"Bearer " + call.Token.Held}}
	}
	running, err := p.sessions[s.Cast.Friend].StartLoad(ctx, attacker.Load{Rate: rate, Fresh: fresh, Request: k})
	if err != nil {
		return nil, err
	}
	return &load{running: running}, nil
}

func orDefaultPort(port int) int {
	if port == 0 {
		return clusters.PortHTTP
	}
	return port
}

// fingerprint tells policies apart.
func fingerprint(p policy.Policy) string {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Sprintf("%+v", p)
	}
	return string(b)
}
