package istio

import (
	"context"
	"encoding/json"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// clusterID is how workloads say which cluster they are of.
const clusterID = "Kubernetes"

// pilotName is what agents verify their istiod by.
func pilotName(r clusters.Range) string { return "istiod." + rootNamespace(r) + ".svc" }

// pilotEnv is what an istiod is told in its environment, wherever it runs.
func pilotEnv(r clusters.Range, p policy.Issuance, issuer string) map[string]string {
	env := issuanceEnv(r, p, issuer)
	for name, value := range map[string]string{
		"PILOT_ENABLE_METADATA_EXCHANGE": "false", "PILOT_ENABLE_AMBIENT": "false", "PILOT_ENABLE_GATEWAY_API": "false",
		"ENABLE_LEADER_ELECTION": "false",
		// A change is sent when nothing else came for this long.
		"PILOT_DEBOUNCE_AFTER":     "10ms",
		"AUTO_RELOAD_PLUGIN_CERTS": "true", "ISTIO_MULTIROOT_MESH": "true",
	} {
		env[name] = value
	}
	return env
}

// pilotLevels is how loud an istiod is, by scope.
func pilotLevels(p policy.Issuance) string { return "default:info," + issuanceLog(p) }

// keyFiles are the files in which istiod looks for what it signs with.
func keyFiles(s identity.Signing) map[string][]byte {
	return map[string][]byte{"ca-cert.pem": s.Cert, "ca-key.pem": s.Key, "cert-chain.pem": s.Chain, "root-cert.pem": s.Roots}
}

// meshConfig is the configuration of a range's mesh.
func meshConfig(r clusters.Range, p proxies) map[string]any {
	format, _ := json.Marshal(logFormat(logAccess)) // plain text cannot fail
	return map[string]any{
		"rootNamespace": rootNamespace(r), "trustDomain": r.TrustDomain,
		"discoverySelectors":     []any{map[string]any{"matchLabels": map[string]string{labelRange: r.Name}}},
		"accessLogFile":          p.access,
		"accessLogEncoding":      "JSON",
		"accessLogFormat":        string(format),
		"enablePrometheusMerge":  false,
		"ingressControllerMode":  "OFF",
		"defaultHttpRetryPolicy": map[string]any{"attempts": 0}, // a retry hides a refusal
		"pathNormalization":      map[string]any{"normalization": "DECODE_AND_MERGE_SLASHES"},
		"defaultProviders":       map[string]any{"metrics": []any{}},
	}
}

// proxyConfig is what every proxy is told, wherever it runs.
func (m Mesh) proxyConfig() map[string]any {
	return map[string]any{
		"concurrency":              proxy.WorkerNumber(m.Workers),
		"drainDuration":            m.drain(),
		"terminationDrainDuration": m.drain(),
		"fileFlushInterval":        "0.010s",
		"proxyStatsMatcher":        map[string]any{"inclusionRegexps": []string{`listener\..*`, `http\..*`, `.*rbac.*`, `.*ssl.*`, `.*jwt_authn.*`}},
	}
}

// plan is what istiod has to be started with now. st.mu is held.
func (st *stage) plan() (plan, error) {
	keys, err := st.ca.Signing()
	if err != nil {
		return plan{}, err
	}
	blocked, err := blocked(st.r, st.policy.Fetching)
	return plan{keys, st.policy.Issuance, st.policy.Exposure, blocked}, err
}

// restartPilot replaces istiod. The sidecars keep what they have, and their
// agents come back to the new one. st.mu is held.
func (st *stage) restartPilot(ctx context.Context) error {
	p, err := st.plan()
	if err != nil {
		return err
	}
	return st.pilot.start(ctx, p)
}

// hang makes istiod be away or back. st.mu is held.
func (st *stage) hang(ctx context.Context, yes bool) error {
	if st.hung == yes {
		return nil
	}
	if err := st.pilot.hang(ctx, yes); err != nil {
		return err
	}
	st.hung = yes
	return nil
}
