package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/scenarios"
)

// A Bed is a mesh that runs with the policy of a scenario, for benchmarks.
type Bed struct {
	env      *environment
	scenario scenarios.Scenario
}

// NewBed makes a mesh; Ready lets it be used.
func NewBed(ctx context.Context, o Options) (*Bed, error) {
	st, err := up(ctx, o.withDefaults())
	if err != nil {
		return nil, err
	}
	return &Bed{st, o.Scenarios[0]}, nil
}

// Close takes the mesh back.
func (b *Bed) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), undoLimit)
	defer cancel()
	return b.env.close(ctx)
}

// Ready applies the scenario's policy to the first range.
func (b *Bed) Ready(ctx context.Context) error {
	p := b.env.ranges[0]
	if c := p.apply(ctx, b.scenario, b.scenario.Policy); c.Error != "" {
		return fmt.Errorf("apply the policy of %s: %s", b.scenario.ID, c.Error)
	}
	return nil
}

// Friend is who sends honest load, and the open file that holds its network.
func (b *Bed) Friend() (clusters.Workload, int, error) {
	p := b.env.ranges[0]
	w, err := p.Workload(b.scenario.Cast.Friend)
	if err != nil {
		return w, 0, err
	}
	fd, ok := Standing{host: b.env.cluster.Host}.Network(w)
	if !ok {
		return w, 0, fmt.Errorf("nobody can enter the network of %s", w.Name)
	}
	return w, fd, nil
}

// Hello is one call of the friend's probe over the stream that is kept.
func (b *Bed) Hello(ctx context.Context) error {
	_, err := b.env.ranges[0].sessions[b.scenario.Cast.Friend].Hello(ctx)
	return err
}

// Exec is one command in the container of the friend's probe: a relay that
// finds no input, and ends.
func (b *Bed) Exec(ctx context.Context) error {
	host, ok := b.env.cluster.Host.(interface {
		Exec(ctx context.Context, namespace, pod, container string, command ...string) ([]byte, error)
	})
	if !ok {
		return errors.New("this place runs no commands in containers")
	}
	w, err := b.env.ranges[0].Workload(b.scenario.Cast.Friend)
	if err != nil {
		return err
	}
	_, err = host.Exec(ctx, w.Namespace, w.Name, "probe", "/probe", "-relay", "/run/probe/probe.sock")
	return err
}

// Request is the friend's honest call.
func (b *Bed) Request() (attacker.Request, error) {
	p := b.env.ranges[0]
	target, err := p.Workload(b.scenario.Cast.Target)
	if err != nil {
		return attacker.Request{}, err
	}
	friend, err := p.Workload(b.scenario.Cast.Friend)
	if err != nil {
		return attacker.Request{}, err
	}
	return attacker.Request{
		Nonce: loadPrefix + "bench", Method: "POST", Path: "/v1/charge", Host: target.Name + "." + target.Namespace,
		Address: net.JoinHostPort(target.Reached(friend).String(), strconv.Itoa(clusters.PortHTTP)),
	}, nil
}

// Load sends the friend's honest call as fast as the workers go.
func (b *Bed) Load(ctx context.Context, workers int, d time.Duration) (attacker.LoadResult, error) {
	k, err := b.Request()
	if err != nil {
		return attacker.LoadResult{}, err
	}
	running, err := b.env.ranges[0].sessions[b.scenario.Cast.Friend].StartLoad(ctx, attacker.Load{Workers: workers, Request: k, Limit: attacker.Duration(d)})
	if err != nil {
		return attacker.LoadResult{}, err
	}
	clusters.Pause(ctx, d)
	return running.Stop(ctx)
}
