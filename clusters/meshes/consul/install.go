package consul

import (
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
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// installed is a mesh that runs.
type installed struct {
	mesh     Mesh
	programs map[string]string
	note     func(string) // may be nil
	host     host
	platform *platform
	stages   // fixed once Install has returned
}

// stages are by range.
type stages = meshes.Stages[*stage]

// host is a provider that runs control planes.
type host interface {
	clusters.ProxyHost
	clusters.ControlHost
}

var _ meshes.Installed = (*installed)(nil)

// Install starts a Consul server for every range and gives every meshed
// workload a sidecar that denies everything. It fills the ranges' Roots and
// Issuers, their trust domains and their workloads' identities and service
// addresses, and returns when all sidecars are healthy; Settled says whether
// they enforce it. An error says what was missing when time ran out. Workloads log in by a Kubernetes API that is
// started beside the servers, where their Namespace is RANGE-NAMESPACE. What it
// starts ends with the cluster.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (meshes.Installed, error) {
	in := &installed{mesh: m, programs: rel.Programs, note: rel.Note, stages: stages{}}
	for _, name := range Programs() {
		if in.programs[name] == "" {
			return nil, fmt.Errorf("install consul: the release names no program %s", name)
		}
	}
	var err error
	if in.host, err = clusters.Able[host](c, "run a control plane as processes"); err != nil {
		return nil, fmt.Errorf("install consul: %w", err)
	}
	c.Undo.Push("mesh consul", func(context.Context) error {
		in.stop()
		return nil
	})
	if len(c.Ranges) == 0 {
		return nil, errors.New("install consul: there are no ranges")
	}
	// A server that never says what is waited for must not hold up a run for ever.
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("it took longer than %s", installLimit))
	defer cancel()
	ctx, stop := clusters.ReportWaits(ctx, rel.Note)
	defer stop()
	at, err := in.host.Control(ctx, c.Ranges[0])
	if err != nil {
		return nil, fmt.Errorf("install consul: %w", err)
	}
	in.platform = startPlatform(ctx, in.host, in.programs, c.Name, at)
	issuers := identity.NewIssuers()
	var (
		mu sync.Mutex
		g  errgroup.Group
	)
	errs := make([]error, len(c.Ranges))
	for i := range c.Ranges {
		g.Go(func() error {
			st, err := in.open(ctx, c.Ranges[i], issuers)
			if st != nil {
				mu.Lock()
				in.stages[st.r.Name] = st
				mu.Unlock()
				c.Ranges[i] = st.r
			}
			if err != nil {
				errs[i] = fmt.Errorf("install consul in range %s: %w", c.Ranges[i].Name, err)
			}
			return nil
		})
	}
	_ = g.Wait()          // the errors are in errs: all of them are wanted
	<-in.platform.started // it ends with ctx, and must not start when all is undone
	return in, errors.Join(errs...)
}

// installLimit is for everything: on an idle machine it takes four seconds.
const installLimit = time.Minute

// open starts everything of one range. The stage that it returns with an
// error has to be stopped as well.
func (in *installed) open(ctx context.Context, r clusters.Range, issuers *identity.Issuers) (*stage, error) {
	at, err := in.host.Control(ctx, r)
	if err != nil {
		return nil, err
	}
	srv := &server{name: "consul-" + r.Name, at: at, cluster: newUUID(), token: newUUID()}
	st := &stage{
		r: rename(r, trustDomain(srv.cluster)), server: srv, store: signals.NewStore(),
		platform: in.platform, settling: meshes.NewTurn(), kinds: map[string]kind{}, lose: in.mesh.lose,
	}
	if st.ca, err = identity.NewCA(st.r.TrustDomain, identity.CAOptions{Issuers: issuers}); err != nil {
		return nil, err
	}
	if err := srv.start(ctx, in.host, in.host.Scratch(), in.programs[Program], st.ca); err != nil {
		return st, err
	}
	if st.r.Roots, st.r.Issuers, err = st.ca.Public(); err != nil {
		return st, err
	}
	if err := in.populate(ctx, st); err != nil {
		return st, err
	}
	// The logs are read for as long as the cluster lives.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	st.end = end
	st.ended.Go(func() { st.follow(life) })
	if _, err := st.Apply(ctx, policy.Policy{MTLS: policy.Strict}); err != nil {
		return st, err
	}
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.start(ctx, in, srv) })
	}
	if err := g.Wait(); err != nil {
		return st, err
	}
	err = st.healthy(ctx)
	if st.revived(ctx, in) {
		err = st.healthy(ctx)
	}
	return st, err
}

// rename gives a range Consul's trust domain and identities, and the namespaces
// of the platform.
func rename(r clusters.Range, domain string) clusters.Range {
	r.TrustDomain = domain
	all := make([]clusters.Workload, len(r.Workloads))
	for i, w := range r.Workloads {
		w.TrustDomain, w.Identity = domain, spiffeID(domain, w)
		w.Namespace = namespaceOf(r, w.Namespace)
		all[i] = w
	}
	r.Workloads = all
	return r
}

// populate logs every meshed workload in, registers it and learns its
// service's address.
func (in *installed) populate(ctx context.Context, st *stage) error {
	own, err := meshEntry()
	if err != nil {
		return err
	}
	if err := st.server.write(ctx, own); err != nil {
		return err
	}
	if err := st.platform.ready(ctx); err != nil {
		return err
	}
	if err := st.platform.deploy(ctx, st.r, st.server.at); err != nil {
		return err
	}
	if err := st.server.admit(ctx, st.platform.reviewed()); err != nil {
		return err
	}
	var g errgroup.Group
	sidecars := make([]*sidecar, len(st.r.Workloads))
	for i, w := range st.r.Workloads {
		if !w.Meshed {
			continue
		}
		g.Go(func() error {
			token, err := st.enter(ctx, w)
			if err != nil {
				return err
			}
			if w.VIP, err = st.server.register(ctx, w, token); err != nil {
				return err
			}
			st.r.Workloads[i] = w
			sidecars[i], err = newSidecar(in.mesh, w, in.host.Scratch(), token, st.store)
			return err
		})
	}
	err = g.Wait()
	st.sidecars = slices.DeleteFunc(sidecars, func(s *sidecar) bool { return s == nil })
	return err
}

// stop ends everything but the processes, which the provider ends.
func (in *installed) stop() {
	for _, st := range in.stages {
		for _, s := range st.sidecars {
			s.close()
		}
		st.stop()
	}
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
