package consul

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/authority"
	"github.com/meshbreach/meshbreach/clusters/evidence"
)

// installed is a mesh that runs.
type installed struct {
	mesh     Mesh
	programs map[string]string
	host     host
	stages   map[string]*stage // by range; fixed once Install has returned
}

// host is a provider that runs control planes.
type host interface {
	clusters.Host
	clusters.ControlHost
}

var _ clusters.Installed = (*installed)(nil)

// Install starts a Consul server for every range and gives every meshed
// workload a sidecar that denies everything. It fills the ranges' Roots and
// Issuers, their trust domains and their workloads' identities and service
// addresses, and returns when all sidecars are settled. What it starts ends
// with the cluster.
func (m Mesh) Install(ctx context.Context, c *clusters.Cluster, rel clusters.Release) (clusters.Installed, error) {
	in := &installed{mesh: m, programs: rel.Programs, stages: map[string]*stage{}}
	for _, name := range []string{Program, ProgramProxy} {
		if in.programs[name] == "" {
			return nil, fmt.Errorf("install consul: the release names no program %s", name)
		}
	}
	var ok bool
	if in.host, ok = c.Host.(host); !ok {
		return nil, fmt.Errorf("install consul: provider %s runs no control planes", c.Provider)
	}
	c.Undo.Push("mesh consul", func(context.Context) error {
		in.stop()
		return nil
	})
	issuers := authority.NewIssuers()
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
	_ = g.Wait() // the errors are in errs: all of them are wanted
	return in, errors.Join(errs...)
}

// open starts everything of one range. The stage that it returns with an
// error has to be stopped as well.
func (in *installed) open(ctx context.Context, r clusters.Range, issuers *authority.Issuers) (*stage, error) {
	at, err := in.host.Control(ctx, r)
	if err != nil {
		return nil, err
	}
	srv := &server{name: "consul-" + r.Name, at: at, cluster: newUUID(), token: newUUID()}
	st := &stage{
		r: rename(r, trustDomain(srv.cluster)), server: srv, store: evidence.NewStore(),
		settling: make(chan struct{}, 1), rotated: map[string]bool{},
	}
	if st.ca, err = authority.New(st.r.TrustDomain, authority.Options{Issuers: issuers}); err != nil {
		return nil, err
	}
	if err := srv.start(ctx, in.host, in.host.Scratch(), in.programs[Program], st.ca); err != nil {
		return st, err
	}
	// The log is read for as long as the cluster lives.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	st.end = end
	st.ended.Go(func() { st.follow(life) })
	if st.r.Roots, st.r.Issuers, err = st.ca.Public(); err != nil {
		return st, err
	}
	if err := in.populate(ctx, st); err != nil {
		return st, err
	}
	rev, err := st.apply(ctx, clusters.Policy{MTLS: clusters.Strict})
	if err != nil {
		return st, err
	}
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.start(ctx, in, srv) })
	}
	if err := g.Wait(); err != nil {
		return st, err
	}
	return st, st.settled(ctx, rev)
}

// rename gives a range Consul's trust domain and identities.
func rename(r clusters.Range, domain string) clusters.Range {
	r.TrustDomain = domain
	all := make([]clusters.Workload, len(r.Workloads))
	for i, w := range r.Workloads {
		w.TrustDomain, w.Identity = domain, identity(domain, w)
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
	if st.by, err = newSigned(); err != nil {
		return err
	}
	if err := st.server.admit(ctx, st.by); err != nil {
		return err
	}
	for i, w := range st.r.Workloads {
		if !w.Meshed {
			continue
		}
		token, err := st.server.login(ctx, st.by, w)
		if err != nil {
			return err
		}
		if err := st.server.register(ctx, w, token); err != nil {
			return err
		}
		if w.VIP, err = st.server.virtual(ctx, service(w)); err != nil {
			return err
		}
		st.r.Workloads[i] = w
		s, err := newSidecar(w, in.host.Scratch(), token, st.store)
		if err != nil {
			return err
		}
		st.sidecars = append(st.sidecars, s)
	}
	return nil
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

func (in *installed) stage(r clusters.Range) (*stage, error) {
	st, ok := in.stages[r.Name]
	if !ok {
		return nil, fmt.Errorf("no range %s in this mesh", r.Name)
	}
	return st, nil
}

// Apply asks for a policy and returns when the server has taken it.
func (in *installed) Apply(ctx context.Context, r clusters.Range, p clusters.Policy) (clusters.Revision, error) {
	st, err := in.stage(r)
	if err != nil {
		return clusters.Revision{}, err
	}
	return st.apply(ctx, p)
}

// Settled waits until a revision holds at every sidecar of the range. An error
// names the sidecars and what they lack.
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

// Authority is the fixture's power over a range; it panics on a range that
// this mesh does not have.
func (in *installed) Authority(r clusters.Range) clusters.Authority {
	return fixture{in.stages[r.Name]}
}
