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
)

// loadPrefix starts the nonces of honest load, whose receipts are not kept.
const loadPrefix = "load-"

func isLoad(nonce string) bool { return strings.HasPrefix(nonce, loadPrefix) }

// loadFresh is how many of 100 honest requests use a new connection each, so
// that a handshake that fails is seen.
const loadFresh = 50

// A load is honest load that runs.
type load struct {
	running *session.Load
	policy  string // fingerprint of the policy that it runs under
}

// startLoad starts honest load: the friend's control call, again and again.
func (r *rangeRunner) startLoad(ctx context.Context, c call, rate int) (*load, error) {
	if _, _, err := r.equip(ctx, c); err != nil {
		return nil, err
	}
	params, ok := c.params.(*attacks.HTTPRequest)
	if !ok {
		return nil, fmt.Errorf("the control has to be an http-request, not %s", c.attack.Name())
	}
	target, err := r.Workload(c.target)
	if err != nil {
		return nil, err
	}
	friend, err := r.Workload(c.from)
	if err != nil {
		return nil, err
	}
	method, path := params.Request.Split()
	port := params.Port
	if port == 0 {
		port = clusters.PortHTTP
	}
	request := attacker.Request{
		Nonce:   loadPrefix + r.nonce(),
		Address: net.JoinHostPort(target.Reached(friend).String(), strconv.Itoa(port)),
		Method:  method, Path: path, Host: target.Name + "." + target.Namespace, Headers: params.Headers,
	}
	if params.Token != nil {
		request.Headers = map[string][]string{"Authorization": {"Bearer " + params.Token.Held}}
	}
	running, err := r.sessions[c.from].StartLoad(ctx, attacker.Load{Rate: rate, Fresh: loadFresh, Request: request})
	if err != nil {
		return nil, err
	}
	return &load{running: running}, nil
}

// endLoad ends the load, if any runs, and adds up what it saw.
func (r *rangeRunner) endLoad(ctx context.Context) {
	if r.load == nil {
		return
	}
	saw, err := r.load.running.Stop(ctx)
	r.load = nil
	if err != nil {
		return // a probe that is gone is what the controls report
	}
	t := &r.loaded
	t.Requests += saw.Requests
	t.Served += saw.Served
	t.Lost += saw.Lost
	t.P50, t.P99, t.Max = max(t.P50, saw.P50), max(t.P99, saw.P99), max(t.Max, saw.Max)
	t.Losses = append(t.Losses, saw.Losses...)
}

// fingerprint tells policies apart.
func fingerprint(p policy.Policy) string {
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Sprintf("%+v", p)
	}
	return string(b)
}
