package istio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// installed is a mesh that runs.
type installed struct {
	mesh     Mesh
	programs map[string]string
	run      string
	api      *kubeapi.Client
	able     []meshes.Capability
	patience time.Duration
	stages   // fixed once Install has returned
	spent    spent
	// writing, which may be nil, replaces what takes the objects of policies.
	writing func(writer) writer
}

// stages are by range.
type stages = meshes.Stages[*stage]

var (
	_ meshes.Installed = (*installed)(nil)
	_ meshes.Proven    = (*installed)(nil)
	_ meshes.Patient   = (*installed)(nil)
)

// Install starts an istiod for every range, and the sidecars. The first policy
// denies everything. Install returns when the sidecars are healthy; whether
// they enforce the policy is what Settled waits for. It fills in the ranges'
// Roots and Issuers and the workloads' addresses. What it starts ends with the
// cluster.
//
// On provider local it also starts a Kubernetes API, and the workloads get the
// Namespace that they have there.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (meshes.Installed, error) {
	return m.newInstalled(c, rel).start(ctx, c, rel)
}

func (m Mesh) newInstalled(c *clusters.Cluster, rel meshes.Release) *installed {
	return &installed{mesh: m, programs: rel.Programs, run: c.Name, able: m.Describe().Can(rel), stages: stages{}}
}

// defaultLimit is for coming up where the caller sets no limit.
const defaultLimit = 5 * time.Minute

func (in *installed) start(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (meshes.Installed, error) {
	// The mesh lives as long as the cluster, and so longer than this call.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.Undo.Push("mesh istio", func(context.Context) error {
		end()
		for _, st := range in.stages {
			st.stop()
		}
		return nil
	})
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, defaultLimit, fmt.Errorf("it took longer than %s", defaultLimit))
		defer cancel()
	}
	ctx, stop := clusters.ReportWaits(ctx, rel.Note)
	defer stop()
	if err := in.install(ctx, life, c, rel); err != nil {
		return nil, fmt.Errorf("install istio: %w", err)
	}
	return in, nil
}

func (in *installed) install(ctx, life context.Context, c *clusters.Cluster, rel meshes.Release) error {
	if len(c.Ranges) == 0 {
		return errors.New("there are no ranges")
	}
	of, err := in.runtimes(ctx, c, rel)
	if err != nil {
		return err
	}
	issuers := identity.NewIssuers()
	for i := range c.Ranges {
		r := &c.Ranges[i]
		if err := in.prepare(r, issuers, of); err != nil {
			return fmt.Errorf("range %s: %w", r.Name, err)
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for i := range c.Ranges {
		st := in.stages[c.Ranges[i].Name]
		g.Go(func() error {
			if err := st.start(gctx, life); err != nil {
				return fmt.Errorf("range %s: %w", st.name, err)
			}
			c.Ranges[i].Workloads = st.r.Workloads
			return nil
		})
	}
	return g.Wait()
}

// runtimeOf gives a range its runtime, its platform and its istiod.
type runtimeOf func(r *clusters.Range, ca *identity.CA) (runtime, platform, pilot, error)

// runtimes prepares what all ranges share.
func (in *installed) runtimes(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (runtimeOf, error) {
	switch h := c.Host.(type) {
	case *kubernetes.Host:
		return in.onKubernetes(ctx, h, rel, c.Ranges)
	case runner:
		return in.localRuntimes(ctx, h, c.Ranges)
	default:
		return nil, fmt.Errorf("provider %s cannot run a control plane", c.Provider)
	}
}

// prepare gives a range its certificate authority and its runtime.
func (in *installed) prepare(r *clusters.Range, issuers *identity.Issuers, of runtimeOf) error {
	ca, err := identity.NewCA(r.TrustDomain, identity.CAOptions{Issuers: issuers})
	if err != nil {
		return err
	}
	if r.Roots, r.Issuers, err = ca.Public(); err != nil {
		return err
	}
	at, on, by, err := of(r, ca)
	if err != nil {
		return err
	}
	in.stages[r.Name] = in.newStage(*r, ca, at, on, by)
	return nil
}

// Patience is zero where all is on this machine.
func (in *installed) Patience() time.Duration { return in.patience }

// Capabilities depend on where the mesh runs.
func (in *installed) Capabilities() []meshes.Capability { return in.able }

// Authority is the fixture's power over a range.
func (in *installed) Authority(r clusters.Range) (identity.Authority, error) {
	st, err := in.Stage(r)
	if err != nil {
		return nil, err
	}
	return fixture{st.ca, st}, nil
}

// spent is where the time of an installation went. Ranges are made side by
// side, so the longest of each part is kept.
type spent struct {
	mu    sync.Mutex
	parts []part
}

type part struct {
	what string
	took time.Duration
}

// since notes a part that began at a time.
func (s *spent) since(began time.Time, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := time.Since(began)
	i := slices.IndexFunc(s.parts, func(p part) bool { return p.what == what })
	if i < 0 {
		s.parts = append(s.parts, part{what, took})
		return
	}
	s.parts[i].took = max(s.parts[i].took, took)
}

// list is all parts, the longest first.
func (s *spent) list() []part {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.parts)
	slices.SortStableFunc(out, func(a, b part) int { return cmp.Compare(b.took, a.took) })
	return out
}
