package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// localProxy is an Envoy that is a process of this machine, with its
// pilot-agent.
type localProxy struct {
	runtime  *localRuntime
	workload clusters.Workload
	number   int    // in the range
	dir      string // working folder of both: their paths are relative to it
	envoy    clusters.Process
	admin    admin

	mu    sync.Mutex
	agent clusters.Process
}

var _ instance = (*localProxy)(nil)

func (s *localProxy) file(name string) string { return filepath.Join(s.dir, name) }

// The files of a sidecar's folder.
const (
	fileAgentLog = "agent.log"
	fileSocket   = "s" // answered by the workers of the Envoy
	fileOverride = "override.json"
	fileStandIn  = "envoy"
	fileArgs     = "envoy.args"
	fileAccess   = "access.log"
	fileListener = "listener.log"
	fileToken    = "var/run/secrets/tokens/istio-token"
	fileRoot     = "var/run/secrets/istio/root-cert.pem"
	dirCerts     = "certs"
	dirConfig    = "etc/istio/proxy"
	dirSockets   = "var/run/secrets/workload-spiffe-uds"
)

// audience is what istiod demands of a token.
const audience = "istio-ca"

// tokenLife is how long a token lives; it is renewed at half.
const tokenLife = time.Hour

// token writes a fresh token where the agent reads it.
func (s *localProxy) token(ctx context.Context) error {
	token, err := s.runtime.api.Token(ctx, s.runtime.pod(s.workload), audience, tokenLife)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file(fileToken)), 0o700); err != nil {
		return err
	}
	fresh := s.file(fileToken + ".new")
	if err := os.WriteFile(fresh, []byte(token), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, s.file(fileToken))
}

// start starts the agent, and the Envoy as the agent would have.
func (s *localProxy) start(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	s.mu.Lock()
	err := s.startAgent(ctx, 0)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	args, err := s.envoyArgs(ctx)
	if err != nil {
		return err
	}
	is := clusters.Sidecar{
		Command: append([]string{s.runtime.programs[ProgramEnvoy]}, args...),
		Dir:     s.dir, Log: s.file("envoy.log"),
		Capture: clusters.Capture{
			Inbound: portInbound, Outbound: portOutbound, Mark: mark,
			Services: netip.MustParsePrefix(kubeapi.ServiceNetwork),
			Spare:    []int{portReady, portStats},
		},
	}
	if s.runtime.mesh.Own {
		is.User, is.Capture.Rules = user, s.ownRules()
		is.Env = []string{"INSTANCE_IP=" + s.workload.Address.String()}
	}
	s.envoy, err = s.runtime.host.Sidecar(ctx, s.workload, is)
	return err
}

// ownRules is what the injector's init container would run. Only the control
// network is spared, as on a cluster it would be no part of the mesh.
func (s *localProxy) ownRules() []string {
	return []string{
		s.runtime.programs[ProgramAgent], "istio-iptables",
		"-p", strconv.Itoa(portOutbound), "-z", strconv.Itoa(portInbound), "-u", strconv.Itoa(user), "-g", strconv.Itoa(user),
		"-m", "REDIRECT", "-i", "*", "-x", s.runtime.at.String() + "/32", "-b", "*",
		"-d", fmt.Sprintf("%d,%d", portReady, portStats),
	}
}

func (s *localProxy) prepare() error {
	for _, dir := range []string{filepath.Dir(fileRoot), dirCerts, dirConfig, dirSockets} {
		if err := os.MkdirAll(s.file(dir), 0o700); err != nil {
			return err
		}
	}
	override, err := json.Marshal(localBootstrap(!s.runtime.mesh.Own))
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file(fileOverride), override, 0o600); err != nil {
		return err
	}
	if err := s.trust(); err != nil {
		return err
	}
	return os.WriteFile(s.file(fileStandIn), []byte(standIn), 0o700)
}

// localBootstrap is what the agent's bootstrap is changed by: the mark that
// spares the proxy's own traffic, where nothing else does, and a socket that
// leads to the workers.
func localBootstrap(marked bool) map[string]any {
	out := bootstrapOverride(map[string]any{"pipe": map[string]any{"path": "./" + fileSocket}})
	if !marked {
		return out
	}
	out["cluster_manager"] = map[string]any{"upstream_bind_config": map[string]any{"socket_options": []any{map[string]any{
		"description": "SO_MARK", "level": 1, "name": 36, "int_value": mark, "state": "STATE_PREBIND",
	}}}}
	return out
}

// trust writes the roots that the agent verifies istiod with.
func (s *localProxy) trust() error {
	return os.WriteFile(s.file(fileRoot), s.runtime.ca.Bundle(), 0o600)
}

// standIn is what the agent starts in Envoy's place: it writes down how Envoy
// should be started, and stays until the agent's group is ended. The harness
// starts the real one, in the workload's network.
const standIn = `#!/bin/sh
for a in "$@"; do printf '%s\0' "$a"; done > ` + fileArgs + `.new && mv ` + fileArgs + `.new ` + fileArgs + `
exec sleep 1000000
`

// envoyArgs are what the agent would start Envoy with.
func (s *localProxy) envoyArgs(ctx context.Context) ([]string, error) {
	for {
		b, err := os.ReadFile(s.file(fileArgs))
		if err == nil {
			return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), nil
		}
		if gone := s.agent.Err(); gone != nil {
			return nil, fmt.Errorf("%w%s", gone, programs.LastWords(s.file(fileAgentLog)))
		}
		if !clusters.Pause(ctx, pollEvery) {
			return nil, fmt.Errorf("wait for the bootstrap of pilot-agent: %w%s", context.Cause(ctx), s.lastWords(ctx))
		}
	}
}

func (s *localProxy) client() admin { return s.admin }

func (s *localProxy) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", s.file(fileSocket))
}

// gone is why the Envoy has ended.
func (s *localProxy) gone(context.Context) error {
	if err := s.envoy.Err(); err != nil {
		return fmt.Errorf("%w%s", err, programs.LastWords(s.file("envoy.log")))
	}
	return nil
}

func (s *localProxy) lastWords(context.Context) string {
	return programs.LastWords(s.file(fileAgentLog))
}

// delivered is what the agent wrote last. It writes one file after the other,
// so the halves may not belong together yet: that is an error.
func (s *localProxy) delivered(context.Context) (identity.KeyPair, error) {
	chain, err := os.ReadFile(s.file(dirCerts + "/" + fileChain))
	if err != nil {
		return identity.KeyPair{}, err
	}
	key, err := os.ReadFile(s.file(dirCerts + "/" + fileKey))
	if err != nil {
		return identity.KeyPair{}, err
	}
	return identity.KeyPair{Chain: chain, Key: key}, nil
}

// behind compares the Envoy's with the leaf that the agent has, and with the
// roots that the authority has.
func (s *localProxy) behind(ctx context.Context, leaf, roots []byte) ([]string, error) {
	have, err := s.delivered(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return []string{"a leaf"}, nil
	} else if err != nil {
		return nil, err
	}
	return behind(leaf, have.Chain, roots, s.runtime.ca.Bundle()), nil
}

// follow reads the two logs.
func (s *localProxy) follow(ctx context.Context, into *signals.Store) {
	accessLog := proxy.Log{Workload: s.workload.Name, Address: s.workload.Address}
	tail(ctx, into,
		&log{programs.Tail{Path: s.file(fileAccess)}, accessLog.ParseAccessLog},
		&log{programs.Tail{Path: s.file(fileListener)}, refusals(accessLog)})
}

// agentPort is where an agent says how it is. All agents are on one network,
// so each has its own.
func (s *localProxy) agentPort() int { return 20000 + 100*int(s.workload.Address.As4()[2]) + s.number }

func (s *localProxy) agentName() string {
	return fmt.Sprintf("agent-%s-%d", s.runtime.r.Name, s.number)
}

// startAgent starts the pilot-agent, which asks for leaves that live that long;
// an hour when zero. s.mu is held.
func (s *localProxy) startAgent(ctx context.Context, lifetime time.Duration) error {
	config, err := json.Marshal(s.proxyConfig())
	if err != nil {
		return err
	}
	w, m := s.workload, s.runtime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	s.agent, err = m.host.Service(ctx, clusters.Service{
		Name: s.agentName(),
		Command: []string{
			m.programs[ProgramAgent], "proxy", "sidecar", "--domain", w.Namespace + ".svc.cluster.local",
			"--proxyLogLevel=warning", "--log_output_level=default:warn",
		},
		Env: []string{
			"POD_NAME=" + pod(w), "POD_NAMESPACE=" + w.Namespace, "INSTANCE_IP=" + w.Address.String(),
			"SERVICE_ACCOUNT=" + w.Account, "HOST_IP=" + m.at.String(), "TRUST_DOMAIN=" + m.r.TrustDomain,
			"PILOT_CERT_PROVIDER=istiod", "ISTIOD_SAN=" + pilotName(m.r),
			"ISTIO_META_CLUSTER_ID=" + clusterID, "ISTIO_META_INTERCEPTION_MODE=REDIRECT",
			"ISTIO_META_WORKLOAD_NAME=" + pod(w), `ISTIO_METAJSON_LABELS={"app":"` + pod(w) + `"}`,
			"ISTIO_META_APP_CONTAINERS=app", "ISTIO_BOOTSTRAP_OVERRIDE=./" + fileOverride,
			"OUTPUT_CERTS=./" + dirCerts, "SECRET_TTL=" + lifetime.String(),
			"ECC_SIGNATURE_ALGORITHM=ECDSA", "GRPC_XDS_BOOTSTRAP=",
			"PROXY_CONFIG=" + string(config),
		},
		Dir: s.dir, Log: s.file(fileAgentLog),
	})
	return err
}

func (s *localProxy) proxyConfig() map[string]any {
	out := s.runtime.mesh.proxyConfig()
	out["binaryPath"], out["configPath"] = "./"+fileStandIn, "./"+dirConfig
	out["discoveryAddress"] = s.runtime.address(portPilotSecure)
	out["proxyBootstrapTemplatePath"] = s.runtime.programs[FileBootstrap]
	out["statusPort"] = s.agentPort()
	return out
}

// renew replaces the agent, and so the leaf and the roots that it delivers. The
// Envoy keeps what it has until then.
func (s *localProxy) renew(ctx context.Context, lifetime time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, _ := s.delivered(ctx) // none is as good as any
	if err := s.runtime.host.FaultService(s.agentName(), clusters.FaultKill); err != nil && s.agent.Err() == nil {
		return err
	}
	select {
	case <-s.agent.Done():
	case <-ctx.Done():
		return fmt.Errorf("end the agent of %s: %w", s.workload.Name, context.Cause(ctx))
	}
	if err := s.trust(); err != nil {
		return err
	}
	// What the killed one left would be taken for somebody else's.
	for _, socket := range []string{dirSockets + "/socket", dirConfig + "/XDS"} {
		if err := os.Remove(s.file(socket)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := s.startAgent(ctx, lifetime); err != nil {
		return err
	}
	for {
		now, err := s.delivered(ctx)
		if err == nil && !bytes.Equal(now.Chain, before.Chain) {
			return nil
		}
		if gone := s.agent.Err(); gone != nil {
			return fmt.Errorf("%w%s", gone, programs.LastWords(s.file(fileAgentLog)))
		}
		if !clusters.Pause(ctx, pollEvery) {
			return fmt.Errorf("wait for a new leaf of %s: %w%s", s.workload.Name, context.Cause(ctx), s.lastWords(ctx))
		}
	}
}
