package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// agentPort is where an agent says how it is. All agents are on one network,
// so each has its own.
func (s *chair) agentPort() int { return 20000 + 100*int(s.workload.Address.As4()[2]) + s.number }

func (s *chair) agentName() string { return fmt.Sprintf("agent-%s-%d", s.on.r.Name, s.number) }

// startAgent starts the pilot-agent, which asks for leaves that live that long;
// an hour when zero. s.mu is held.
func (s *chair) startAgent(ctx context.Context, lifetime time.Duration) error {
	config, err := json.Marshal(s.proxyConfig())
	if err != nil {
		return err
	}
	w, m := s.workload, s.on
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
		Dir: s.dir, Log: s.file("agent.log"),
	})
	return err
}

// drain is how long a replaced filter chain is kept for.
func (m Mesh) drain() string {
	return fmt.Sprintf("%ds", max(1, int(m.Drain/time.Second)))
}

func (s *chair) proxyConfig() map[string]any {
	out := s.on.mesh.proxyConfig()
	out["binaryPath"], out["configPath"] = "./"+fileStandIn, "./"+dirConfig
	out["discoveryAddress"] = s.on.address(portPilotSecure)
	out["proxyBootstrapTemplatePath"] = s.on.programs[FileBootstrap]
	out["statusPort"] = s.agentPort()
	return out
}

// renew replaces the agent, and so the leaf and the roots that it delivers. The
// Envoy keeps what it has until then.
func (s *chair) renew(ctx context.Context, lifetime time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, _ := s.delivered(ctx) // none is as good as any
	if err := s.on.host.FaultService(s.agentName(), clusters.FaultKill); err != nil && s.agent.Err() == nil {
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
			return fmt.Errorf("%w%s", gone, programs.LastWords(s.file("agent.log")))
		}
		if !clusters.Pause(ctx, pollEvery) {
			return fmt.Errorf("wait for a new leaf of %s: %w", s.workload.Name, context.Cause(ctx))
		}
	}
}
