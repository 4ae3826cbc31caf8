package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/evidence"
)

// The ports of an istiod, as everywhere. Each listens on the control
// network's address in its own range.
const (
	portPilotHTTP    = 8080
	portPilotPlain   = 15010
	portPilotSecure  = 15012
	portPilotMonitor = 15014
)

// serviceName is that of a range's istiod, for faults.
func (st *stage) serviceName() string { return "istiod-" + st.name }

// pilotName is what agents verify their istiod by.
func (st *stage) pilotName() string { return "istiod." + rootNamespace(st.r) + ".svc" }

func (st *stage) pilotDir() string { return filepath.Join(st.dir, "istiod") }

func (st *stage) address(port int) string {
	return netip.AddrPortFrom(st.at, uint16(port)).String()
}

// startPilot starts the range's istiod and returns when it is ready.
func (st *stage) startPilot(ctx context.Context) error {
	dir := st.pilotDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc", "cacerts"), 0o700); err != nil {
		return err
	}
	if err := st.plugIn(); err != nil {
		return err
	}
	config, err := json.MarshalIndent(meshConfig(st.r), "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"mesh.yaml": config, "kubeconfig": st.in.api.Kubeconfig()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if st.pilot, err = st.in.host.Service(ctx, st.pilotService()); err != nil {
		return err
	}
	return st.pilotReady(ctx)
}

func (st *stage) pilotService() clusters.Service {
	dir := st.pilotDir()
	return clusters.Service{
		Name: st.serviceName(),
		Command: []string{
			st.in.programs[ProgramPilot], "discovery",
			"--kubeconfig=" + filepath.Join(dir, "kubeconfig"), "--meshConfig=" + filepath.Join(dir, "mesh.yaml"),
			"--domain=cluster.local", "--namespace=" + rootNamespace(st.r),
			"--httpAddr=" + st.address(portPilotHTTP), "--httpsAddr=",
			"--grpcAddr=" + st.address(portPilotPlain), "--secureGRPCAddr=" + st.address(portPilotSecure),
			"--monitoringAddr=" + st.address(portPilotMonitor), "--ctrlz_port=0",
			"--log_output_level=default:info," + issuanceLog(st.policy.Issuance),
		},
		Env: append(issuanceEnv(st.r, st.policy.Issuance),
			"POD_NAME="+st.serviceName(), "POD_NAMESPACE="+rootNamespace(st.r), "REVISION=default",
			"CLUSTER_ID=Kubernetes", "PILOT_CERT_PROVIDER=istiod",
			"INJECTION_WEBHOOK_CONFIG_NAME=", "VALIDATION_WEBHOOK_CONFIG_NAME=",
			"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_AMBIENT=false", "PILOT_ENABLE_GATEWAY_API=false",
			"ENABLE_LEADER_ELECTION=false",
			// A change is sent when nothing else came for this long.
			"PILOT_DEBOUNCE_AFTER=10ms",
			"AUTO_RELOAD_PLUGIN_CERTS=true", "ISTIO_MULTIROOT_MESH=true",
		),
		Dir: dir, Log: filepath.Join(dir, "log"),
	}
}

// plugIn gives istiod the key that it signs leaves with.
func (st *stage) plugIn() error {
	s, err := st.ca.Signing()
	if err != nil {
		return err
	}
	dir := filepath.Join(st.pilotDir(), "etc", "cacerts")
	// istiod reads all when any of them was written, a tenth of a second later.
	for name, content := range map[string][]byte{
		"ca-cert.pem": s.Cert, "ca-key.pem": s.Key, "cert-chain.pem": s.Chain, "root-cert.pem": s.Roots,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("plug in the authority: %w", err)
		}
	}
	return nil
}

// meshConfig is the configuration of a range's mesh.
func meshConfig(r clusters.Range) map[string]any {
	format, _ := json.Marshal(evidence.Format(true)) // plain text cannot fail
	return map[string]any{
		"rootNamespace": rootNamespace(r), "trustDomain": r.TrustDomain,
		"discoverySelectors":     []any{map[string]any{"matchLabels": map[string]string{labelRange: r.Name}}},
		"accessLogFile":          "./" + fileAccess,
		"accessLogEncoding":      "JSON",
		"accessLogFormat":        string(format),
		"enablePrometheusMerge":  false,
		"ingressControllerMode":  "OFF",
		"defaultHttpRetryPolicy": map[string]any{"attempts": 0}, // a retry hides a refusal
		"pathNormalization":      map[string]any{"normalization": "DECODE_AND_MERGE_SLASHES"},
		"defaultProviders":       map[string]any{"metrics": []any{}},
	}
}

// pollEvery is the time between two looks.
const pollEvery = 5 * time.Millisecond

// pause waits until the next look is due; false when the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// pilotReady returns when istiod says that it is ready.
func (st *stage) pilotReady(ctx context.Context) error {
	c := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return st.in.host.Dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	for {
		err := ask(ctx, c, "http://"+st.address(portPilotHTTP)+"/ready")
		if err == nil {
			return nil
		}
		if gone := st.pilot.Err(); gone != nil {
			return fmt.Errorf("%w%s", gone, lastWords(filepath.Join(st.pilotDir(), "log")))
		}
		if !pause(ctx, 4*pollEvery) {
			return errors.Join(fmt.Errorf("wait until istiod is ready: %w", context.Cause(ctx)), err)
		}
	}
}

func ask(ctx context.Context, c http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("it answered " + strconv.Itoa(resp.StatusCode))
	}
	return nil
}

// restartPilot replaces istiod. The sidecars keep what they have, and their
// agents come back to the new one. st.mu is held.
func (st *stage) restartPilot(ctx context.Context) error {
	if err := st.in.host.FaultService(st.serviceName(), clusters.FaultKill); err != nil && st.pilot.Err() == nil {
		return err
	}
	select {
	case <-st.pilot.Done():
	case <-ctx.Done():
		return fmt.Errorf("end istiod: %w", context.Cause(ctx))
	}
	var err error
	if st.pilot, err = st.in.host.Service(ctx, st.pilotService()); err != nil {
		return err
	}
	return st.pilotReady(ctx)
}

// guide is the istiod that runs.
func (st *stage) guide() clusters.Process {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.pilot
}

// hang stops istiod or lets it go on. st.mu is held.
func (st *stage) hang(yes bool) error {
	if st.hung == yes {
		return nil
	}
	f := clusters.FaultResume
	if yes {
		f = clusters.FaultHang
	}
	if err := st.in.host.FaultService(st.serviceName(), f); err != nil {
		return err
	}
	st.hung = yes
	return nil
}

// lastWords are the end of a log, for errors.
func lastWords(path string) string {
	const most = 600
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return ""
	}
	return "; its log ends: " + string(b[max(0, len(b)-most):])
}
