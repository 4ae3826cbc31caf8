package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
)

// agentPort is where an agent says how it is. All agents are on one network,
// so each has its own.
func (s *sidecar) agentPort() int { return 20000 + 100*int(s.workload.Address.As4()[2]) + s.number }

func (s *sidecar) agentName() string { return fmt.Sprintf("agent-%s-%d", s.st.name, s.number) }

// startAgent starts the pilot-agent. s.mu is held.
func (s *sidecar) startAgent(ctx context.Context) error {
	config, err := json.Marshal(s.proxyConfig())
	if err != nil {
		return err
	}
	w := s.workload
	lifetime := s.lifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	s.agent, err = s.st.in.host.Service(ctx, clusters.Service{
		Name: s.agentName(),
		Command: []string{
			s.st.in.programs[ProgramAgent], "proxy", "sidecar", "--domain", w.Namespace + ".svc.cluster.local",
			"--proxyLogLevel=warning", "--log_output_level=default:warn",
		},
		Env: []string{
			"POD_NAME=" + pod(w), "POD_NAMESPACE=" + w.Namespace, "INSTANCE_IP=" + w.Address.String(),
			"SERVICE_ACCOUNT=" + w.Account, "HOST_IP=" + s.st.at.String(), "TRUST_DOMAIN=" + s.st.r.TrustDomain,
			"PILOT_CERT_PROVIDER=istiod", "ISTIOD_SAN=" + s.st.pilotName(),
			"ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_META_INTERCEPTION_MODE=REDIRECT",
			"ISTIO_META_WORKLOAD_NAME=" + pod(w), `ISTIO_METAJSON_LABELS={"app":"` + pod(w) + `"}`,
			"ISTIO_META_APP_CONTAINERS=app", "ISTIO_BOOTSTRAP_OVERRIDE=./" + fileOverride,
			"OUTPUT_CERTS=./" + dirCerts, "SECRET_TTL=" + lifetime.String(),
			"ECC_SIGNATURE_ALGORITHM=ECDSA", "GRPC_XDS_BOOTSTRAP=",
			"PROXY_CONFIG=" + string(config),
		},
		Dir: s.dir, Log: s.file("agent.log"),
	})
	return err
}

// drain is how long a replaced filter chain is kept for.
func (m Mesh) drain() string {
	return fmt.Sprintf("%ds", max(1, int(m.Drain/time.Second)))
}

func (s *sidecar) proxyConfig() map[string]any {
	return map[string]any{
		"binaryPath": "./" + fileStandIn, "configPath": "./" + dirConfig,
		"discoveryAddress":           s.st.address(portPilotSecure),
		"proxyBootstrapTemplatePath": s.st.in.programs[FileBootstrap],
		"concurrency":                max(1, s.st.in.mesh.Workers),
		"drainDuration":              s.st.in.mesh.drain(),
		"terminationDrainDuration":   s.st.in.mesh.drain(),
		"fileFlushInterval":          "0.010s",
		"statusPort":                 s.agentPort(),
		"proxyStatsMatcher":          map[string]any{"inclusionRegexps": []string{`listener\..*`, `http\..*`, `.*rbac.*`, `.*ssl.*`, `.*jwt_authn.*`}},
	}
}

// delivered is the leaf and key exactly as the agent delivered them last.
func (s *sidecar) delivered() (clusters.KeyPair, error) {
	chain, err := os.ReadFile(s.file(dirCerts + "/cert-chain.pem"))
	if err != nil {
		return clusters.KeyPair{}, err
	}
	key, err := os.ReadFile(s.file(dirCerts + "/key.pem"))
	if err != nil {
		return clusters.KeyPair{}, err
	}
	return clusters.KeyPair{Chain: chain, Key: key}, nil
}

// restart replaces the agent, and so the leaf and the roots that it delivers.
// The Envoy keeps what it has until then. It returns when there is a new leaf.
func (s *sidecar) restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, _ := s.delivered() // none is as good as any
	if err := s.st.in.host.FaultService(s.agentName(), clusters.FaultKill); err != nil && s.agent.Err() == nil {
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
	if err := s.startAgent(ctx); err != nil {
		return err
	}
	for {
		now, err := s.delivered()
		if err == nil && !bytes.Equal(now.Chain, before.Chain) {
			return nil
		}
		if gone := s.agent.Err(); gone != nil {
			return fmt.Errorf("%w%s", gone, lastWords(s.file("agent.log")))
		}
		if !pause(ctx, pollEvery) {
			return fmt.Errorf("wait for a new leaf of %s: %w", s.workload.Name, context.Cause(ctx))
		}
	}
}

// restartAgents replaces all agents of the range at once.
func (st *stage) restartAgents(ctx context.Context) error {
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.restart(ctx) })
	}
	return g.Wait()
}
