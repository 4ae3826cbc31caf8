package istio

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// A runner is what Istio asks of a provider that has no cluster.
type runner interface {
	clusters.ProxyHost
	clusters.ControlHost
}

// localRuntime is the runtime of a range on this machine: the harness plays whoever
// deploys, and the kubelet.
type localRuntime struct {
	mesh     Mesh
	programs map[string]string
	host     runner
	api      *kubeapi.API
	ca       *identity.CA
	stock    bool // the Envoy is no build of Istio's
	run      string
	dir      string
	at       netip.Addr // of the control network in this range
	r        clusters.Range
	proxies  []*localProxy
}

var (
	_ runtime  = (*localRuntime)(nil)
	_ platform = (*localRuntime)(nil)
)

// localRuntimes starts the API that all ranges share.
func (in *installed) localRuntimes(ctx context.Context, h runner, ranges []clusters.Range) (runtimeOf, error) {
	for _, name := range Programs() {
		if in.programs[name] == "" {
			return nil, fmt.Errorf("the release names no program %s", name)
		}
	}
	at := map[string]netip.Addr{}
	for _, r := range ranges {
		var err error
		if at[r.Name], err = h.Control(ctx, r); err != nil {
			return nil, err
		}
	}
	var own bool
	asking, actx := errgroup.WithContext(ctx)
	asking.Go(func() (err error) {
		own, err = OwnBuild(actx, in.programs[ProgramEnvoy])
		return err
	})
	api, err := in.startAPI(ctx, h, at[ranges[0].Name])
	if err := errors.Join(err, asking.Wait()); err != nil {
		return nil, err
	}
	in.api = api.Client
	return func(r *clusters.Range, ca *identity.CA) (runtime, platform, pilot, error) {
		m, err := newLocalRuntime(in, h, api, at[r.Name], r)
		if err != nil {
			return nil, nil, nil, err
		}
		m.ca, m.stock = ca, !own
		return m, m, &localPilot{runtime: m}, nil
	}, nil
}

// newLocalRuntime says in r where its workloads are in the API: Namespace becomes
// RANGE-NAMESPACE, and who serves gets a VIP.
func newLocalRuntime(in *installed, h runner, api *kubeapi.API, at netip.Addr, r *clusters.Range) (*localRuntime, error) {
	for i := range r.Workloads {
		w := &r.Workloads[i]
		w.Namespace = namespaceOf(*r, w.Namespace)
		if w.Serves() {
			w.VIP = serviceAddress(w.Address)
		}
	}
	m := &localRuntime{
		mesh: in.mesh, programs: in.programs, host: h, api: api, run: in.run, at: at, r: *r,
		dir: filepath.Join(h.Scratch(), "istio", r.Name),
	}
	for i, w := range r.Workloads {
		if w.Meshed {
			s := &localProxy{runtime: m, workload: w, number: i, dir: filepath.Join(m.dir, strconv.Itoa(i))}
			s.admin = newAdmin(m.mesh, s.dial)
			m.proxies = append(m.proxies, s)
		}
	}
	return m, os.MkdirAll(m.dir, 0o700)
}

// serviceAddress is the cluster IP of who lives at an address: 10.77.1.11 is
// 10.96.1.11.
func serviceAddress(at netip.Addr) netip.Addr {
	b := at.As4()
	return netip.AddrFrom4([4]byte{10, 96, b[2], b[3]})
}

// startAPI starts an API and makes Istio's kinds known to it.
func (in *installed) startAPI(ctx context.Context, h runner, at netip.Addr) (*kubeapi.API, error) {
	began := time.Now()
	api, err := kubeapi.Start(ctx, h, in.programs, at)
	if err != nil {
		return nil, err
	}
	in.spent.since(began, "API")
	began = time.Now()
	defer func() { in.spent.since(began, "kinds") }()
	kinds, err := os.ReadFile(in.programs[FileCRDs])
	if err != nil {
		return nil, fmt.Errorf("read Istio's kinds: %w", err)
	}
	return api, api.Define(ctx, string(kinds))
}

// deploy makes namespaces, accounts, pods and services.
func (m *localRuntime) deploy(ctx context.Context) error {
	labels := map[string]string{labelRange: m.r.Name, labelRun: m.run}
	namespaces := []string{rootNamespace(m.r)}
	for _, s := range m.proxies {
		namespaces = append(namespaces, s.workload.Namespace)
	}
	var g errgroup.Group
	for _, name := range namespaces {
		g.Go(func() error { return m.api.Apply(ctx, kubeapi.Namespace(name, labels)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var all errgroup.Group
	for _, s := range m.proxies {
		all.Go(func() error { return m.deployOne(ctx, s) })
	}
	return all.Wait()
}

// deployOne makes a workload known to the API.
func (m *localRuntime) deployOne(ctx context.Context, s *localProxy) error {
	w := s.workload
	for _, what := range []identity.Life{identity.LifeAccount, identity.LifePod} {
		if err := m.make(ctx, w, what); err != nil {
			return err
		}
	}
	if w.VIP.IsValid() {
		for _, o := range kubeapi.Service(m.pod(w), w.VIP, servicePorts()) {
			if err := m.api.Apply(ctx, o); err != nil {
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

// launch starts the agents, and the Envoys beside their workloads.
func (m *localRuntime) launch(ctx context.Context) (clusters.Range, map[string]instance, error) {
	var g errgroup.Group
	out := map[string]instance{}
	for _, s := range m.proxies {
		out[s.workload.Name] = s
		g.Go(func() error {
			if err := s.start(ctx); err != nil {
				return fmt.Errorf("sidecar of %s: %w", s.workload.Name, err)
			}
			return nil
		})
	}
	return m.r, out, g.Wait()
}

func (m *localRuntime) proxySettings() proxySettings {
	return proxySettings{access: "./" + fileAccess, listener: "./" + fileListener, stock: m.stock}
}

func (m *localRuntime) pace(int) time.Duration { return pollEvery }

// follow reads the API's audit log, and renews tokens as the kubelet does.
func (m *localRuntime) follow(ctx context.Context, into *signals.Store) {
	var renewing sync.WaitGroup
	renewing.Go(func() { m.renewTokens(ctx) })
	tail(ctx, into, &log{programs.Tail{Path: m.api.AuditLog()}, parsePlatform})
	renewing.Wait()
}

func (m *localRuntime) renewTokens(ctx context.Context) {
	for clusters.Pause(ctx, tokenLife/2) {
		for _, s := range m.proxies {
			// A token that cannot be renewed runs out, and the mesh says so.
			_ = s.token(ctx)
		}
	}
}

func (m *localRuntime) address(port int) string {
	return netip.AddrPortFrom(m.at, uint16(port)).String()
}

func (m *localRuntime) endpoint() string { return m.address(kubeapi.Port) }

func (m *localRuntime) issuer() string { return kubeapi.Issuer }

func (m *localRuntime) runsPods() (image, pull string, labels map[string]string) { return "", "", nil }

// injectors: there are none.
func (m *localRuntime) injectors(context.Context, bool) error { return nil }

func (m *localRuntime) bound(_ context.Context, w clusters.Workload) (kubeapi.Pod, error) {
	return m.pod(w), nil
}

// pod is a workload as the API knows it.
func (m *localRuntime) pod(w clusters.Workload) kubeapi.Pod {
	name := pod(w)
	return kubeapi.Pod{
		Namespace: w.Namespace, Name: name, Account: w.Account,
		// The injector would set the mode: without it callers send plaintext.
		Labels:  map[string]string{"app": name, "security.istio.io/tlsMode": "istio", labelRun: m.run},
		Address: w.Address, Host: m.at,
	}
}

func (m *localRuntime) legacyToken(ctx context.Context, w clusters.Workload) (string, error) {
	return m.api.LegacyToken(ctx, m.pod(w))
}

func (m *localRuntime) signBound(ctx context.Context, w clusters.Workload, audience string, issued, expires time.Time) (string, error) {
	return m.api.SignBound(ctx, m.pod(w), audience, issued, expires)
}

func (m *localRuntime) end(ctx context.Context, w clusters.Workload, what identity.Life) error {
	switch what {
	case identity.LifePod:
		return m.api.Delete(ctx, m.pod(w).Ref())
	case identity.LifeAccount:
		return m.api.Delete(ctx, kubeapi.AccountRef(w.Namespace, w.Account))
	}
	return errNoPart
}

// begin makes the part, and gives the workload's proxy a new token: one of
// before is no token now.
func (m *localRuntime) begin(ctx context.Context, w clusters.Workload, what identity.Life) error {
	if err := m.make(ctx, w, what); err != nil {
		return err
	}
	for _, s := range m.proxies {
		if s.workload.Name != w.Name {
			continue
		}
		if err := s.token(ctx); err != nil && (what != identity.LifeAccount || !kubeapi.IsNotFound(err)) {
			return err
		}
	}
	return nil
}

func (m *localRuntime) make(ctx context.Context, w clusters.Workload, what identity.Life) error {
	switch what {
	case identity.LifePod:
		return m.api.Run(ctx, m.pod(w))
	case identity.LifeAccount:
		return m.api.Apply(ctx, kubeapi.Account(w.Namespace, w.Account, map[string]string{labelRun: m.run}))
	}
	return errNoPart
}
