package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// A stage is a mesh that runs, with a session to every probe.
type stage struct {
	cluster *clusters.Cluster
	mesh    meshes.Installed
	players []*player
}

// up makes a cluster and a mesh on it. What was made before something failed
// is taken back.
func up(ctx context.Context, o Options) (*stage, error) {
	tell := func(what string) {
		if o.Progress != nil {
			o.Progress.Up(what)
		}
	}
	tell(fmt.Sprintf("%d test environments on %s", o.Parallel, o.Provider.Name()))
	c, err := o.Provider.Up(ctx, clusters.Spec{Name: o.ID, Ranges: o.Parallel, Probe: o.Probe})
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", o.Provider.Name(), err)
	}
	st := &stage{cluster: c}
	undo := func(err error) error {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		return errors.Join(err, st.close(limited))
	}
	tell("mesh " + o.Mesh.Describe().Name)
	if st.mesh, err = o.Mesh.Install(ctx, c, o.Release); err != nil {
		return nil, undo(fmt.Errorf("install mesh %s: %w", o.Mesh.Describe().Name, err))
	}
	able := o.Mesh.Describe().Can(o.Release)
	if p, ok := st.mesh.(meshes.Proven); ok {
		able = p.Capabilities()
	}
	for _, r := range c.Ranges {
		p := &player{opts: o, stage: st, able: able, rg: r, seen: map[string][]attacker.Receipt{}, cursor: map[string]uint64{}}
		st.players = append(st.players, p)
		if p.sessions, err = greet(ctx, c, r); err != nil {
			return nil, undo(err)
		}
	}
	return st, nil
}

// greet opens the session of every workload in a range and lets the targets
// serve.
func greet(ctx context.Context, c *clusters.Cluster, r clusters.Range) (map[string]*session.Client, error) {
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		errs []error
		out  = map[string]*session.Client{}
	)
	for _, w := range r.Workloads {
		wg.Go(func() {
			client, err := hello(ctx, c, w)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("probe of %s in %s: %w", w.Name, r.Name, err))
				return
			}
			out[w.Name] = client
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

func hello(ctx context.Context, c *clusters.Cluster, w clusters.Workload) (*session.Client, error) {
	stream, err := c.Host.Stream(ctx, w)
	if err != nil {
		return nil, err
	}
	client := session.Connect(stream)
	c.Undo.Push("session of "+w.Range+"/"+w.Name, func(context.Context) error {
		_ = client.Close() // the probe is ended next, whatever the stream says
		return nil
	})
	if _, err := client.Hello(ctx); err != nil {
		return nil, err
	}
	if !serves(w.Name) {
		return client, nil
	}
	return client, client.Serve(ctx, []attacker.Listen{
		{Port: clusters.PortHTTP, Protocol: "http"}, {Port: clusters.PortHealth, Protocol: "http"},
		{Port: clusters.PortAdmin, Protocol: "http"}, {Port: clusters.PortTCP, Protocol: "tcp"}, {Port: clusters.PortOpaque, Protocol: "tcp"},
	})
}

func serves(name string) bool {
	return slices.ContainsFunc(clusters.Cast(), func(m clusters.Member) bool { return m.Name == name && m.Serves })
}

func (st *stage) close(ctx context.Context) error { return st.cluster.Undo.Run(ctx) }

// sweep collects all receipts a last time and hangs late ones onto the records
// whose nonces they carry.
func (st *stage) sweep(ctx context.Context, all []*played) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evidenceLimit)
	defer cancel()
	for _, p := range st.players {
		if err := p.collect(ctx); err != nil {
			p.blind = err.Error()
		}
	}
	for _, pl := range all {
		pl.late()
	}
}
