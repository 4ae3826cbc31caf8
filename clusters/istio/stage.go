package istio

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/authority"
	"github.com/meshbreach/meshbreach/clusters/evidence"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

// stage is a range as the mesh keeps it.
type stage struct {
	in       *installed
	name     string
	run      string
	dir      string
	at       netip.Addr // of the control network in this range
	ca       *authority.CA
	pilot    clusters.Process
	sidecars []*sidecar
	store    *evidence.Store
	settling chan struct{} // holds one token: settling is one at a time
	ended    sync.WaitGroup

	mu       sync.Mutex
	r        clusters.Range // with the public trust material
	policy   clusters.Policy
	objects  map[string]written // what the API has of the policy, by kind and name
	revision int
	salt     string
	calm     bool            // whether the latest revision was seen settled
	known    map[string]kind // of the revisions
	latest   string          // revision of the policy that was asked for last
	hung     bool            // istiod was stopped
}

// kind is what a revision was.
type kind int

const (
	unknown kind = iota
	applied
	withheld
	rotated
	lived // something began or ended on the platform, and was waited for
)

// newStage prepares a range and says in r where its workloads are in the API.
func (in *installed) newStage(run string, r *clusters.Range, at netip.Addr, issuers *authority.Issuers) (*stage, error) {
	ca, err := authority.New(r.TrustDomain, authority.Options{Issuers: issuers})
	if err != nil {
		return nil, err
	}
	if r.Roots, r.Issuers, err = ca.Public(); err != nil {
		return nil, err
	}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		w.Namespace = namespaceOf(*r, w.Namespace)
		if serves(*w) {
			w.VIP = serviceAddress(w.Address)
		}
	}
	st := &stage{
		in: in, name: r.Name, run: run, at: at, ca: ca, r: *r,
		dir:      filepath.Join(in.host.Scratch(), "istio", r.Name),
		store:    evidence.NewStore(),
		settling: make(chan struct{}, 1),
		objects:  map[string]written{}, known: map[string]kind{}, calm: true,
	}
	for i, w := range r.Workloads {
		if w.Meshed {
			st.sidecars = append(st.sidecars, newSidecar(st, w, i))
		}
	}
	return st, os.MkdirAll(st.dir, 0o700)
}

// serviceAddress is the cluster IP of who lives at an address: 10.77.1.11 is
// 10.96.1.11.
func serviceAddress(at netip.Addr) netip.Addr {
	b := at.As4()
	return netip.AddrFrom4([4]byte{10, 96, b[2], b[3]})
}

// start makes the range's objects, its istiod and its sidecars, and waits
// until they are settled.
func (st *stage) start(ctx, life context.Context) error {
	began := time.Now()
	if err := st.populate(ctx); err != nil {
		return err
	}
	st.in.spent.since(began, "objects")
	began = time.Now()
	if _, err := st.apply(ctx, clusters.Policy{MTLS: clusters.Strict}); err != nil {
		return err
	}
	if err := st.startPilot(ctx); err != nil {
		return err
	}
	st.in.spent.since(began, "istiod")
	began = time.Now()
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.start(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	st.in.spent.since(began, "sidecars")
	st.ended.Go(func() { st.follow(life) })
	st.ended.Go(func() { st.renewTokens(life) })
	began = time.Now()
	defer func() { st.in.spent.since(began, "settled") }()
	return st.settled(ctx, clusters.Revision{ID: st.latest})
}

func (st *stage) stop() {
	st.ended.Wait()
	for _, s := range st.sidecars {
		s.admin.close()
	}
}

// define makes Istio's kinds known to the API.
func (in *installed) define(ctx context.Context) error {
	kinds, err := os.ReadFile(in.programs[FileCRDs])
	if err != nil {
		return fmt.Errorf("read Istio's kinds: %w", err)
	}
	return in.api.Define(ctx, string(kinds))
}

// populate plays whoever deploys: namespaces, accounts, pods and services.
func (st *stage) populate(ctx context.Context) error {
	api := st.in.api
	labels := map[string]string{labelRange: st.name, labelRun: st.run}
	namespaces := []string{rootNamespace(st.r)}
	for _, s := range st.sidecars {
		namespaces = append(namespaces, s.workload.Namespace)
	}
	var g errgroup.Group
	for _, name := range namespaces {
		g.Go(func() error { return api.Apply(ctx, kubeapi.Namespace(name, labels)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var all errgroup.Group
	for _, s := range st.sidecars {
		all.Go(func() error { return st.deploy(ctx, s) })
	}
	for _, o := range standing(st.r) {
		all.Go(func() error { return api.Apply(ctx, o) })
	}
	return all.Wait()
}

// deploy makes a workload known to the API.
func (st *stage) deploy(ctx context.Context, s *sidecar) error {
	api, w := st.in.api, s.workload
	if err := api.Apply(ctx, kubeapi.Account(w.Namespace, w.Account, map[string]string{labelRun: st.run})); err != nil {
		return err
	}
	if err := api.Run(ctx, s.pod()); err != nil {
		return err
	}
	if w.VIP.IsValid() {
		for _, o := range kubeapi.Service(s.pod(), w.VIP, servicePorts()) {
			if err := api.Apply(ctx, o); err != nil {
				return err
			}
		}
	}
	return s.token(ctx)
}

// servicePorts are those that a service declares. The port for administration
// is among them, or else its address would lead nowhere from inside the mesh.
func servicePorts() []kubeapi.ServicePort {
	return []kubeapi.ServicePort{
		{Name: "http", Protocol: "http", Number: clusters.PortHTTP},
		{Name: "http-health", Protocol: "http", Number: clusters.PortHealth},
		{Name: "http-admin", Protocol: "http", Number: clusters.PortAdmin},
		{Name: "tcp", Protocol: "tcp", Number: clusters.PortTCP},
		{Name: "tcp-opaque", Protocol: "tcp", Number: clusters.PortOpaque},
	}
}

// next is the next revision. st.mu is held.
func (st *stage) next() clusters.Revision {
	st.revision++
	return clusters.Revision{ID: st.name + "-" + strconv.Itoa(st.revision), Asked: time.Now()}
}
