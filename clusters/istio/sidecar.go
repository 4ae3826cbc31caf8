package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

// sidecar is one Envoy with its pilot-agent.
type sidecar struct {
	st       *stage
	workload clusters.Workload
	number   int    // in the range
	dir      string // working folder of both: their paths are relative to it
	admin    admin
	envoy    clusters.Process

	shown   shownListener // what was last seen active; of the one who settles
	version uint64        // of the listeners that it was read from

	mu       sync.Mutex
	agent    clusters.Process
	lifetime time.Duration // of leaves that the agent asks for
	want     want
	given    []given // tokens that were handed out; of the stage's mu
}

func newSidecar(st *stage, w clusters.Workload, number int) *sidecar {
	s := &sidecar{st: st, workload: w, number: number, dir: filepath.Join(st.dir, strconv.Itoa(number))}
	s.admin = newAdmin(s.file(fileSocket))
	return s
}

func (s *sidecar) file(name string) string { return filepath.Join(s.dir, name) }

// The files of a sidecar's folder.
const (
	fileSocket   = "s" // answered by a worker of the Envoy
	fileOverride = "override.json"
	fileStandIn  = "envoy"
	fileArgs     = "envoy.args"
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

func (s *sidecar) pod() kubeapi.Pod {
	name := pod(s.workload)
	return kubeapi.Pod{
		Namespace: s.workload.Namespace, Name: name, Account: s.workload.Account,
		// The injector would set the mode: without it callers send plaintext.
		Labels:  map[string]string{"app": name, "security.istio.io/tlsMode": "istio", labelRun: s.st.run},
		Address: s.workload.Address, Host: s.st.at,
	}
}

// token writes a fresh token where the agent reads it.
func (s *sidecar) token(ctx context.Context) error {
	token, err := s.st.in.api.Token(ctx, s.pod(), audience, tokenLife)
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

// renewTokens plays the kubelet until the context ends.
func (st *stage) renewTokens(ctx context.Context) {
	for pause(ctx, tokenLife/2) {
		for _, s := range st.sidecars {
			// A token that cannot be renewed runs out, and the mesh says so.
			_ = s.token(ctx)
		}
	}
}

// start starts the agent, and the Envoy as the agent would have.
func (s *sidecar) start(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return fmt.Errorf("sidecar of %s: %w", s.workload.Name, err)
	}
	s.mu.Lock()
	err := s.startAgent(ctx)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("sidecar of %s: %w", s.workload.Name, err)
	}
	args, err := s.envoyArgs(ctx)
	if err != nil {
		return fmt.Errorf("sidecar of %s: %w", s.workload.Name, err)
	}
	s.envoy, err = s.st.in.host.Sidecar(ctx, s.workload, clusters.Sidecar{
		Command: append([]string{s.st.in.programs[ProgramEnvoy]}, args...),
		Dir:     s.dir, Log: s.file("envoy.log"),
		Capture: clusters.Capture{
			Inbound: portInbound, Outbound: portOutbound, Mark: mark,
			Services: netip.MustParsePrefix(kubeapi.ServiceNetwork),
			Spare:    []int{portReady, portStats},
		},
	})
	return err
}

func (s *sidecar) prepare() error {
	for _, dir := range []string{filepath.Dir(fileRoot), dirCerts, dirConfig, dirSockets} {
		if err := os.MkdirAll(s.file(dir), 0o700); err != nil {
			return err
		}
	}
	override, err := json.Marshal(bootstrapOverride())
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

// trust writes the roots that the agent verifies istiod with.
func (s *sidecar) trust() error { return os.WriteFile(s.file(fileRoot), s.st.ca.Bundle(), 0o600) }

// standIn is what the agent starts in Envoy's place: it writes down how Envoy
// should be started, and stays until the agent's group is ended. The harness
// starts the real one, in the workload's network.
const standIn = `#!/bin/sh
for a in "$@"; do printf '%s\0' "$a"; done > ` + fileArgs + `.new && mv ` + fileArgs + `.new ` + fileArgs + `
exec sleep 1000000
`

// envoyArgs are what the agent would start Envoy with.
func (s *sidecar) envoyArgs(ctx context.Context) ([]string, error) {
	for {
		b, err := os.ReadFile(s.file(fileArgs))
		if err == nil {
			return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"), nil
		}
		if gone := s.agent.Err(); gone != nil {
			return nil, fmt.Errorf("%w%s", gone, lastWords(s.file("agent.log")))
		}
		if !pause(ctx, pollEvery) {
			return nil, fmt.Errorf("wait for the bootstrap of pilot-agent: %w", context.Cause(ctx))
		}
	}
}

// bootstrapOverride is merged into the agent's bootstrap: the mark that spares
// the proxy's own traffic, and a socket on which a worker answers and leads to
// the Envoy's administration.
func bootstrapOverride() map[string]any {
	route := func(prefix string, action map[string]any) map[string]any {
		action["match"] = map[string]any{"prefix": prefix}
		return action
	}
	return map[string]any{
		"cluster_manager": map[string]any{"upstream_bind_config": map[string]any{"socket_options": []any{map[string]any{
			"description": "SO_MARK", "level": 1, "name": 36, "int_value": mark, "state": "STATE_PREBIND",
		}}}},
		"static_resources": map[string]any{"listeners": []any{map[string]any{
			"name": "meshbreach", "address": map[string]any{"pipe": map[string]any{"path": "./" + fileSocket}},
			"filter_chains": []any{map[string]any{"filters": []any{map[string]any{
				"name": "http",
				"typed_config": map[string]any{
					"@type":       types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
					"stat_prefix": "meshbreach", "codec_type": "HTTP1",
					"http_filters": []any{map[string]any{"name": "router", "typed_config": map[string]any{"@type": types + "filters.http.router.v3.Router"}}},
					"route_config": map[string]any{"virtual_hosts": []any{map[string]any{
						"name": "all", "domains": []string{"*"},
						"routes": []any{
							route(pathFence, map[string]any{"direct_response": map[string]any{"status": 204}}),
							route("/", map[string]any{"route": map[string]any{"cluster": "prometheus_stats"}}),
						},
					}}},
				},
			}}}},
		}}},
	}
}
