package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// The ports of an istiod, as everywhere. On this machine each listens on the
// control network's address in its own range.
const (
	portPilotHTTP    = 8080
	portPilotPlain   = 15010
	portPilotSecure  = 15012
	portPilotMonitor = 15014
)

// process is an istiod that is a process of this machine.
type process struct {
	on *machine

	mu sync.Mutex
	is clusters.Process
}

var _ pilot = (*process)(nil)

// serviceName is that of a range's istiod, for faults.
func (m *machine) serviceName() string { return "istiod-" + m.r.Name }

func (m *machine) pilotDir() string { return filepath.Join(m.dir, "istiod") }

// pilotLog is where istiod says what it issues and refuses.
func (m *machine) pilotLog() string { return filepath.Join(m.pilotDir(), "log") }

func (p *process) running() clusters.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.is
}

func (p *process) start(ctx context.Context, pl plan) error {
	m := p.on
	if old := p.running(); old != nil {
		if err := m.host.FaultService(m.serviceName(), clusters.FaultKill); err != nil && old.Err() == nil {
			return err
		}
		select {
		case <-old.Done():
		case <-ctx.Done():
			return fmt.Errorf("end istiod: %w", context.Cause(ctx))
		}
	}
	if err := p.write(pl); err != nil {
		return err
	}
	is, err := m.host.Service(ctx, p.service(pl))
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.is = is
	p.mu.Unlock()
	return p.ready(ctx)
}

// write makes all that an istiod reads.
func (p *process) write(pl plan) error {
	m := p.on
	if err := os.MkdirAll(filepath.Join(m.pilotDir(), "etc", "cacerts"), 0o700); err != nil {
		return err
	}
	if err := p.keys(pl.keys); err != nil {
		return err
	}
	config, err := json.MarshalIndent(meshConfig(m.r, m.proxies()), "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"mesh.yaml": config, "kubeconfig": m.api.Kubeconfig()} {
		if err := os.WriteFile(filepath.Join(m.pilotDir(), name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) service(pl plan) clusters.Service {
	m, dir := p.on, p.on.pilotDir()
	var env []string
	for name, value := range pl.env(m.r, m.issuer()) {
		env = append(env, name+"="+value)
	}
	return clusters.Service{
		Name: m.serviceName(),
		Command: []string{
			m.programs[ProgramPilot], "discovery",
			"--kubeconfig=" + filepath.Join(dir, "kubeconfig"), "--meshConfig=" + filepath.Join(dir, "mesh.yaml"),
			"--domain=cluster.local", "--namespace=" + rootNamespace(m.r),
			"--httpAddr=" + m.address(portPilotHTTP), "--httpsAddr=",
			pl.plaintext(m.address(portPilotPlain)), "--secureGRPCAddr=" + m.address(portPilotSecure),
			"--monitoringAddr=" + m.address(portPilotMonitor), "--ctrlz_port=0",
			"--log_output_level=" + pilotLevels(pl.issuance),
		},
		Env: append(env,
			"POD_NAME="+m.serviceName(), "POD_NAMESPACE="+rootNamespace(m.r), "REVISION=default",
			"CLUSTER_ID="+clusterID, "PILOT_CERT_PROVIDER=istiod",
			"INJECTION_WEBHOOK_CONFIG_NAME=", "VALIDATION_WEBHOOK_CONFIG_NAME=",
		),
		Dir: dir, Log: m.pilotLog(),
	}
}

// keys writes what istiod signs leaves with.
func (p *process) keys(s identity.Signing) error {
	dir := filepath.Join(p.on.pilotDir(), "etc", "cacerts")
	// istiod reads all when any of them was written, a tenth of a second later.
	for name, content := range keyFiles(s) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("plug in the authority: %w", err)
		}
	}
	return nil
}

// reloaded is what istiod writes when it has taken over new keys and roots.
const reloaded = "Istiod has detected the newly added intermediate CA"

func (p *process) plugIn(ctx context.Context, pl plan) error {
	log := p.on.pilotLog()
	before, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	if err := p.keys(pl.keys); err != nil {
		return err
	}
	for {
		now, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if bytes.Count(now, []byte(reloaded)) > bytes.Count(before, []byte(reloaded)) {
			return nil
		}
		if !clusters.Pause(ctx, pollEvery) {
			return fmt.Errorf("wait until istiod signs with another key: %w%s", context.Cause(ctx), programs.LastWords(log))
		}
	}
}

func (p *process) endpoint() string { return p.on.address(portPilotSecure) }

func (p *process) hang(_ context.Context, yes bool) error {
	f := clusters.FaultResume
	if yes {
		f = clusters.FaultHang
	}
	return p.on.host.FaultService(p.on.serviceName(), f)
}

func (p *process) gone(context.Context) error { return p.running().Err() }

func (p *process) follow(ctx context.Context, line func([]byte)) {
	t := programs.Tail{Path: p.on.pilotLog()}
	defer t.Close()
	for clusters.Pause(ctx, followEvery) {
		t.Read(line)
	}
}

// ready returns when istiod says that it is ready.
func (p *process) ready(ctx context.Context) error {
	m := p.on
	c := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return m.host.Dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	for {
		err := ask(ctx, c, "http://"+m.address(portPilotHTTP)+"/ready")
		if err == nil {
			return nil
		}
		if gone := p.running().Err(); gone != nil {
			return fmt.Errorf("%w%s", gone, programs.LastWords(m.pilotLog()))
		}
		if !clusters.Pause(ctx, 4*pollEvery) {
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

// pollEvery is the time between two looks at what is on this machine.
const pollEvery = 5 * time.Millisecond
