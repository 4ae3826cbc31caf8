package istio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/authority"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

// A platform is what Istio asks of a provider.
type platform interface {
	clusters.Host
	clusters.ControlHost
}

// installed is a mesh that runs.
type installed struct {
	mesh     Mesh
	programs map[string]string
	host     platform
	api      *kubeapi.API
	stages   map[string]*stage // by range; fixed once Install has returned
	spent    spent
}

var _ clusters.Installed = (*installed)(nil)

// Install starts a Kubernetes API and, for every range, an istiod and the
// sidecars, which deny everything at first. It fills in the ranges' Roots and
// Issuers and says where the workloads are in the one API: Namespace becomes
// RANGE-NAMESPACE, and who serves gets a VIP. What it starts ends with the
// cluster.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, rel clusters.Release) (clusters.Installed, error) {
	h, ok := c.Host.(platform)
	if !ok {
		return nil, fmt.Errorf("install istio: provider %s cannot run a control plane", c.Provider)
	}
	for _, name := range Programs() {
		if rel.Programs[name] == "" {
			return nil, fmt.Errorf("install istio: the release names no program %s", name)
		}
	}
	in := &installed{mesh: m, programs: rel.Programs, host: h, stages: map[string]*stage{}}
	// The mesh lives as long as the cluster, and so longer than this call.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.Undo.Push("mesh istio", func(context.Context) error {
		end()
		in.stop()
		return nil
	})
	if err := in.install(ctx, life, c); err != nil {
		return nil, fmt.Errorf("install istio: %w", err)
	}
	return in, nil
}

func (in *installed) install(ctx, life context.Context, c *clusters.Cluster) error {
	if len(c.Ranges) == 0 {
		return errors.New("there are no ranges")
	}
	issuers := authority.NewIssuers()
	at := make([]netip.Addr, len(c.Ranges))
	for i, r := range c.Ranges {
		var err error
		if at[i], err = in.host.Control(ctx, r); err != nil {
			return err
		}
	}
	var err error
	began := time.Now()
	if in.api, err = kubeapi.Start(ctx, in.host, in.programs, at[0]); err != nil {
		return err
	}
	in.spent.since(began, "API")
	began = time.Now()
	if err := in.define(ctx); err != nil {
		return err
	}
	in.spent.since(began, "kinds")
	for i := range c.Ranges {
		st, err := in.newStage(c.Name, &c.Ranges[i], at[i], issuers)
		if err != nil {
			return fmt.Errorf("range %s: %w", c.Ranges[i].Name, err)
		}
		in.stages[st.name] = st
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, st := range in.stages {
		g.Go(func() error {
			if err := st.start(gctx, life); err != nil {
				return fmt.Errorf("range %s: %w", st.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// stop ends everything but the processes, which the provider ends.
func (in *installed) stop() {
	for _, st := range in.stages {
		st.stop()
	}
}

func (in *installed) stage(r clusters.Range) (*stage, error) {
	st, ok := in.stages[r.Name]
	if !ok {
		return nil, fmt.Errorf("no range %s in this mesh", r.Name)
	}
	return st, nil
}

// Apply asks for a policy: it returns when the API has it.
func (in *installed) Apply(ctx context.Context, r clusters.Range, p clusters.Policy) (clusters.Revision, error) {
	st, err := in.stage(r)
	if err != nil {
		return clusters.Revision{}, err
	}
	return st.apply(ctx, p)
}

// Settled waits until a revision holds at every sidecar of the range, nothing
// is warming and nothing old is open.
func (in *installed) Settled(ctx context.Context, r clusters.Range, rev clusters.Revision) error {
	st, err := in.stage(r)
	if err != nil {
		return err
	}
	return st.settled(ctx, rev)
}

// Evidence gives the signals that match.
func (in *installed) Evidence(ctx context.Context, r clusters.Range, q clusters.Query) ([]clusters.Signal, error) {
	st, err := in.stage(r)
	if err != nil {
		return nil, err
	}
	return st.store.Query(ctx, q), nil
}

// Authority is the fixture's power over a range; nil where there is none.
func (in *installed) Authority(r clusters.Range) clusters.Authority {
	st, ok := in.stages[r.Name]
	if !ok {
		return nil
	}
	return fixture{st}
}
