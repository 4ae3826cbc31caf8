// Package kubeapi runs a Kubernetes API without nodes: a real etcd and a real
// kube-apiserver on the control network of provider local. The harness plays
// the kubelet: it makes pods and says that they run, and nothing schedules,
// starts or stops them.
package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// The names of the programs in Release.Programs.
const (
	ProgramEtcd   = "etcd"
	ProgramServer = "kube-apiserver"
	// ProgramController is optional: without it no Secret gets a token.
	ProgramController = "kube-controller-manager"
)

// Port is where the API listens, on every address of the control network.
const Port = 6443

// Issuer is the iss claim of service-account tokens.
const Issuer = "https://kubernetes.default.svc"

// ServiceNetwork is where cluster IPs lie.
const ServiceNetwork = "10.96.0.0/16"

// The names of the services, for faults.
const (
	ServiceEtcd       = "etcd"
	ServiceServer     = "kube-apiserver"
	ServiceController = "kube-controller-manager"
)

// portEtcd and portPeers are on the loopback link of the control network,
// which no workload reaches.
const (
	portEtcd  = 2379
	portPeers = 2380
)

func onLoopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// An API is a Kubernetes API that runs. It ends with the cluster.
type API struct {
	*Client
	dir       string
	pki       pki
	processes map[string]clusters.Process
}

// Start starts etcd and the API server and returns when the API is ready. The
// controller manager, where programs has it, then starts by itself.
// Advertise is an address of the control network; programs are paths by name.
func (o Options) Start(ctx context.Context, h clusters.ControlHost, programs map[string]string, advertise netip.Addr) (*API, error) {
	a := &API{dir: filepath.Join(h.Scratch(), "kube"), processes: map[string]clusters.Process{}}
	for _, name := range []string{ProgramEtcd, ProgramServer} {
		if programs[name] == "" {
			return nil, fmt.Errorf("start the Kubernetes API: the release names no program %s", name)
		}
	}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return nil, fmt.Errorf("start the Kubernetes API: %w", err)
	}
	var err error
	if a.pki, err = newPKI(a.dir, advertise); err != nil {
		return nil, fmt.Errorf("start the Kubernetes API: %w", err)
	}
	if err := a.launch(ctx, h, programs, advertise, o.groups()); err != nil {
		return nil, fmt.Errorf("start the Kubernetes API: %w", err)
	}
	a.Client = newClient(h.Dial, onLoopback(Port), a.pki)
	if err := a.ready(ctx); err != nil {
		return nil, fmt.Errorf("start the Kubernetes API: %w", err)
	}
	if programs[ProgramController] != "" {
		if err := a.control(ctx, h, programs[ProgramController]); err != nil {
			return nil, fmt.Errorf("start the controllers: %w", err)
		}
	}
	return a, nil
}

// launch starts both, the server once etcd listens: it asks one that is not
// there only once a second.
func (a *API) launch(ctx context.Context, h clusters.ControlHost, programs map[string]string, advertise netip.Addr, groups []string) error {
	if err := os.WriteFile(a.file("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	etcd := "http://" + onLoopback(portEtcd).String()
	peers := "http://" + onLoopback(portPeers).String()
	err := a.service(ctx, h, clusters.Service{
		Name: ServiceEtcd,
		Command: []string{
			programs[ProgramEtcd], "--data-dir", a.file("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
			"--initial-cluster", "default=" + peers, "--log-level", "warn",
		},
	})
	if err != nil {
		return err
	}
	listens := func(ctx context.Context) error {
		c, err := h.Dial(ctx, "tcp", onLoopback(portEtcd).String())
		if err != nil {
			return err
		}
		return c.Close()
	}
	if err := a.until(ctx, "etcd listens", listens); err != nil {
		return err
	}
	return a.service(ctx, h, clusters.Service{
		Name: ServiceServer,
		Command: append([]string{
			"/bin/sh", "-c", hideTokens, a.AuditLog(), programs[ProgramServer],
			"--etcd-servers=" + etcd,
			"--bind-address=0.0.0.0", "--secure-port=" + strconv.Itoa(Port),
			"--advertise-address=" + advertise.String(),
			"--tls-cert-file=" + a.file(fileServerCert), "--tls-private-key-file=" + a.file(fileServerKey),
			"--service-account-issuer=" + Issuer,
			"--service-account-signing-key-file=" + a.file(fileAccountKey),
			"--service-account-key-file=" + a.file(fileAccountPublic),
			"--token-auth-file=" + a.file(fileTokens),
			"--authorization-mode=RBAC",
			"--service-cluster-ip-range=" + ServiceNetwork,
			"--audit-policy-file=" + a.file("audit-policy.yaml"), "--audit-log-path=-", "--audit-log-mode=blocking",
			// Nothing here competes for the server, and profiles are nobody's business.
			"--enable-priority-and-fairness=false", "--profiling=false",
			"--v=0",
		}, groups...),
	})
}

// service starts a program in the API's folder. A collection more or less
// costs little; half a gigabyte costs a laptop.
func (a *API) service(ctx context.Context, h clusters.ControlHost, s clusters.Service) error {
	s.Env, s.Dir, s.Log = []string{"GOGC=50"}, a.dir, a.file(s.Name+".log")
	p, err := h.Service(ctx, s)
	if err == nil {
		a.processes[s.Name] = p
	}
	return err
}

func (a *API) file(name string) string { return filepath.Join(a.dir, name) }

// AuditLog is the file that the API server writes its audit events to, one
// JSON object a line.
func (a *API) AuditLog() string { return a.file("audit.log") }

// Processes are those that run the API, by service name.
func (a *API) Processes() map[string]clusters.Process { return a.processes }

// readyEvery is the time between two looks.
const readyEvery = 20 * time.Millisecond

// ready returns when the API says that it is ready.
func (a *API) ready(ctx context.Context) error {
	return a.until(ctx, "it is ready", func(ctx context.Context) error { return a.raw(ctx, "/readyz") })
}

// until asks again and again, and ends with a program that ended.
func (a *API) until(ctx context.Context, what string, ask func(context.Context) error) error {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		for name, p := range a.processes {
			if p.Err() != nil {
				return fmt.Errorf("%w%s", p.Err(), programs.LastWords(a.file(name+".log")))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s: %w", what, context.Cause(ctx)), err)
		}
	}
}
