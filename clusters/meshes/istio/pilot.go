package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
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
func meshConfig(r clusters.Range, p proxySettings) map[string]any {
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

// settings are the parts of a policy that istiod reads when it starts.
type settings struct {
	issuance policy.Issuance
	exposure policy.Exposure
	fetching policy.Fetching
}

func settingsOf(p policy.Policy) settings {
	return settings{started(p.Issuance), startedWith(p.Exposure), fetches(p.Fetching)}
}

// configurePilot restarts istiod where the policy needs other settings, and
// waits for the proxies to reconnect. st.mu is held.
func (st *stage) configurePilot(ctx context.Context) error {
	if st.running && st.applied[aspectSettings] != settingsOf(st.policy) {
		st.awaited = time.Now()
		if err := st.restartPilot(ctx); err != nil {
			return err
		}
	}
	return st.reconnected(ctx)
}

// restartPilot replaces istiod by one with the policy's settings. The sidecars
// keep their configuration, and their agents connect to the new istiod.
// st.mu is held.
func (st *stage) restartPilot(ctx context.Context) error {
	p, err := st.plan()
	if err != nil {
		return err
	}
	delete(st.applied, aspectSettings)
	if err := st.pilot.start(ctx, p); err != nil {
		return fmt.Errorf("start istiod: %w", err)
	}
	st.applied[aspectSettings] = settingsOf(st.policy)
	st.applied[aspectAvailable] = true
	return nil
}

// hang makes istiod unavailable, or available again. st.mu is held.
func (st *stage) hang(ctx context.Context, yes bool) error {
	return st.applied.change(aspectAvailable, !yes, func() error { return st.pilot.hang(ctx, yes) })
}

// env is what an istiod of the plan is told in its environment, wherever it
// runs: whom it gives leaves to, and what it shows. It is read when it starts.
func (p plan) env(r clusters.Range, issuer string) map[string]string {
	env := pilotEnv(r, p.issuance, issuer)
	env["ENABLE_DEBUG_ENDPOINT_AUTH"] = strconv.FormatBool(!p.exposure.AnyDebug)
	env["PILOT_ENABLE_XDS_IDENTITY_CHECK"] = strconv.FormatBool(!p.exposure.AnyNode)
	env["BLOCKED_CIDRS_IN_JWKS_URIS"] = strings.Join(p.blocked, ",")
	env["ENABLE_XDS_API_GENERATOR_AUTH"] = strconv.FormatBool(!p.exposure.AnyConfig)
	return env
}

// plaintext is the argument that says where istiod gives configuration without
// TLS: nowhere, unless the plan is to. Its own default is port 15010.
func (p plan) plaintext(address string) string {
	if !p.exposure.PlaintextXDS {
		address = ""
	}
	return "--grpcAddr=" + address
}

// The lives that istiod grants: hard, and far too long.
const (
	longestLife = 24 * time.Hour
	tooLongLife = 10 * 365 * 24 * time.Hour
)

// issuanceEnv is how istiod is told whom it gives leaves to. It is read when
// it starts.
func issuanceEnv(r clusters.Range, p policy.Issuance, issuer string) map[string]string {
	longest, audiences := longestLife, audience
	if p.LongLives {
		longest = tooLongLife
	}
	if p.OtherAudiences {
		audiences += "," + issuer + "," + identity.AudienceVault
	}
	env := map[string]string{
		"MAX_WORKLOAD_CERT_TTL": longest.String(), "TOKEN_AUDIENCES": audiences,
		// As the charts have it, who is trusted is named although nobody of that
		// name is there.
		"CA_TRUSTED_NODE_ACCOUNTS": rootNamespace(r) + "/ztunnel",
	}
	if p.Forwarded {
		env["TRUSTED_GATEWAY_CIDR"] = "10.0.0.0/8"
	}
	if p.Impersonation {
		var trusted []string
		if w, err := r.Tenant(); err == nil {
			trusted = append(trusted, w.Namespace+"/"+w.Account)
		}
		env["CA_TRUSTED_NODE_ACCOUNTS"] = strings.Join(trusted, ",")
	}
	return env
}

// issuanceLog is the scope that says what is issued, and how loud it is.
func issuanceLog(p policy.Issuance) string {
	if p.NoRecord {
		return "serverca:info"
	}
	return "serverca:debug"
}

// reload gives istiod new keys and roots and waits until it signs with them.
// st.mu is held.
func (st *stage) reload(ctx context.Context) error {
	roots, _, err := st.ca.Public()
	if err != nil {
		return err
	}
	st.r.Roots = roots
	p, err := st.plan()
	if err != nil {
		return err
	}
	return st.pilot.plugIn(ctx, p)
}

// The ports of an istiod, as everywhere. On this machine each listens on the
// control network's address in its own range.
const (
	portPilotHTTP    = 8080
	portPilotPlain   = 15010
	portPilotSecure  = 15012
	portPilotMonitor = 15014
)

// reloaded is what istiod writes when it has taken over new keys and roots.
const reloaded = "Istiod has detected the newly added intermediate CA"

// startedWith are the parts of an Exposure that istiod reads when it starts.
func startedWith(e policy.Exposure) policy.Exposure {
	e.ViewServices, e.ProxyAdmin = false, false
	return e
}

// saidNew is in what istiod writes when a proxy has come to it; the proxy's id
// and a number follow. Proxies take changes alone, and so it says "delta".
const saidNew = "connection for node:"

// nodeLogKey is what such a line is found by.
func nodeLogKey(proxy string) string { return "node " + proxy }

// reconnected returns when all proxies have come to the istiod that was started
// last: what it is asked about a proxy that has not is "not found". An Envoy
// whose calls failed waits for longer each time, so this takes seconds, and who
// ran out of them waits on with the next policy. st.mu is held.
func (st *stage) reconnected(ctx context.Context) error {
	if st.awaited.IsZero() {
		return nil
	}
	missing := map[string]bool{}
	q := signals.Query{Since: st.awaited, Want: func(found []signals.Signal) bool {
		for _, s := range found {
			delete(missing, s.Nonce)
		}
		return len(missing) == 0
	}}
	for _, s := range st.sidecars {
		mark := nodeLogKey(proxyID(s.workload))
		missing[mark] = true
		q.Nonces = append(q.Nonces, mark)
	}
	st.store.Query(ctx, q)
	if len(missing) > 0 {
		return fmt.Errorf("wait until all proxies have come to the new istiod: %d have not: %w", len(missing), context.Cause(ctx))
	}
	st.awaited = time.Time{}
	return nil
}

// fetches are the parts of a Fetching that istiod reads when it starts.
func fetches(f policy.Fetching) policy.Fetching {
	f.Tenant = false
	return f
}

// started are the parts of an Issuance that istiod reads when it starts.
func started(p policy.Issuance) policy.Issuance {
	p.Unbound, p.Extended, p.KeepAccounts, p.AnyService, p.MintTokens = false, false, false, false, false
	return p
}
