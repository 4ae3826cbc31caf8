package envoy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// installed is a mesh that runs.
type installed struct {
	mesh    Mesh
	program string
	host    clusters.ProxyHost
	stages  // fixed once Install has returned
}

// stages are by range.
type stages = meshes.Stages[*stage]

var _ meshes.Installed = (*installed)(nil)

// Install gives every meshed workload of the cluster an Envoy that denies
// everything, fills the ranges' Roots and Issuers, and returns when all
// sidecars are healthy: Settled says whether they enforce it. What it starts
// ends with the cluster.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (meshes.Installed, error) {
	in := &installed{mesh: m, program: rel.Programs[Program], stages: stages{}}
	if in.program == "" {
		return nil, errors.New("install envoy: the release names no program envoy")
	}
	var err error
	if in.host, err = clusters.Able[clusters.ProxyHost](c, "run proxies as processes"); err != nil {
		return nil, fmt.Errorf("install envoy: %w", err)
	}
	// The mesh lives as long as the cluster, and so longer than this call.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.Undo.Push("mesh envoy", func(context.Context) error {
		end()
		in.stop()
		return nil
	})
	issuers := identity.NewIssuers()
	for i := range c.Ranges {
		st, err := newStage(c.Ranges[i], issuers)
		if err != nil {
			return nil, fmt.Errorf("install envoy in range %s: %w", c.Ranges[i].Name, err)
		}
		c.Ranges[i].Roots, c.Ranges[i].Issuers = st.r.Roots, st.r.Issuers
		in.stages[st.name] = st
		if err := in.prepare(life, st); err != nil {
			return nil, fmt.Errorf("install envoy in range %s: %w", st.name, err)
		}
	}
	ctx, stop := clusters.ReportWaits(ctx, rel.Note)
	defer stop()
	g, gctx := errgroup.WithContext(ctx)
	for _, st := range in.stages {
		g.Go(func() error { return in.start(gctx, st) })
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("install envoy: %w", err)
	}
	return in, nil
}

// prepare opens the planes of a range and fills them with the first policy,
// which allows nothing.
func (in *installed) prepare(life context.Context, st *stage) error {
	for i, w := range st.r.Workloads {
		if !w.Meshed {
			continue
		}
		s := newSidecar(w, st.r)
		s.lose = in.mesh.lose
		var err error
		if s.files, err = pathsOf(in.host.Scratch(), st.name, i); err != nil {
			return err
		}
		if err := writeBootstrap(w, s.files); err != nil {
			return err
		}
		if s.plane, err = openPlane(life, s.files.plane, sink{w.Name, st.store}); err != nil {
			return err
		}
		s.admin = newAdmin(s.files, proxy.WorkerNumber(in.mesh.Workers))
		st.sidecars = append(st.sidecars, s)
	}
	st.mu.Lock()
	err := st.issue()
	st.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := st.Apply(life, policy.Policy{MTLS: policy.Strict}); err != nil {
		return err
	}
	st.renewing = true
	go st.renew(life)
	return nil
}

// start starts the sidecars of a range and waits until they are healthy.
func (in *installed) start(ctx context.Context, st *stage) error {
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() (err error) {
			s.process, err = in.host.Sidecar(ctx, s.workload, clusters.Sidecar{
				Command: in.command(s.files),
				Log:     s.files.log,
				Capture: clusters.Capture{Inbound: portInbound, Outbound: portOutbound, Mark: mark},
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return meshes.Each(st.sidecars, func(s *sidecar) error { return s.healthy(ctx) })
}

// drainTime is the seconds that a replaced filter chain is kept for. Zero
// would cut honest requests in flight.
const drainTime = "1"

func (in *installed) command(p paths) []string {
	return []string{
		in.program, "-c", p.bootstrap,
		"--concurrency", strconv.Itoa(proxy.WorkerNumber(in.mesh.Workers)),
		"--disable-hot-restart",
		"--drain-time-s", drainTime, "--drain-strategy", "immediate",
		// The part main only warns of a limit that a sidecar needs not.
		"--log-level", "warning", "--component-log-level", "main:error",
	}
}

// stop ends everything but the Envoys, which the provider ends.
func (in *installed) stop() {
	var all sync.WaitGroup
	for _, st := range in.stages {
		if st.renewing {
			<-st.renewal.ended
		}
		for _, s := range st.sidecars {
			all.Go(func() {
				s.admin.close()
				s.plane.stop()
			})
		}
	}
	all.Wait()
}

// Authority is the fixture's power over a range; it panics on a range that
// this mesh does not have.
func (in *installed) Authority(r clusters.Range) (identity.Authority, error) {
	st, err := in.Stage(r)
	if err != nil {
		return nil, err
	}
	return fixture{st.ca, st}, nil
}
