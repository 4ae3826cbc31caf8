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

// localPilot is an istiod that is a process of this machine.
type localPilot struct {
	runtime *localRuntime

	mu sync.Mutex
	is clusters.Process
}

var _ pilot = (*localPilot)(nil)

// serviceName is that of a range's istiod, for faults.
func (m *localRuntime) serviceName() string { return "istiod-" + m.r.Name }

func (m *localRuntime) pilotDir() string { return filepath.Join(m.dir, "istiod") }

// pilotLog is where istiod says what it issues and refuses.
func (m *localRuntime) pilotLog() string { return filepath.Join(m.pilotDir(), "log") }

func (p *localPilot) running() clusters.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.is
}

func (p *localPilot) start(ctx context.Context, pl plan) error {
	m := p.runtime
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
func (p *localPilot) write(pl plan) error {
	m := p.runtime
	if err := os.MkdirAll(filepath.Join(m.pilotDir(), "etc", "cacerts"), 0o700); err != nil {
		return err
	}
	if err := p.keys(pl.keys); err != nil {
		return err
	}
	config, err := json.MarshalIndent(meshConfig(m.r, m.proxySettings()), "", "  ")
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

func (p *localPilot) service(pl plan) clusters.Service {
	m, dir := p.runtime, p.runtime.pilotDir()
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
func (p *localPilot) keys(s identity.Signing) error {
	dir := filepath.Join(p.runtime.pilotDir(), "etc", "cacerts")
	// istiod reads all when any of them was written, a tenth of a second later.
	for name, content := range keyFiles(s) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("plug in the authority: %w", err)
		}
	}
	return nil
}

func (p *localPilot) plugIn(ctx context.Context, pl plan) error {
	log := p.runtime.pilotLog()
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

func (p *localPilot) endpoint() string { return p.runtime.address(portPilotSecure) }

func (p *localPilot) hang(_ context.Context, yes bool) error {
	f := clusters.FaultResume
	if yes {
		f = clusters.FaultHang
	}
	return p.runtime.host.FaultService(p.runtime.serviceName(), f)
}

func (p *localPilot) gone(context.Context) error {
	if err := p.running().Err(); err != nil {
		return fmt.Errorf("%w%s", err, programs.LastWords(p.runtime.pilotLog()))
	}
	return nil
}

func (p *localPilot) follow(ctx context.Context, line func([]byte)) {
	t := programs.Tail{Path: p.runtime.pilotLog()}
	defer t.Close()
	for clusters.Pause(ctx, followEvery) {
		t.Read(line)
	}
}

// ready returns when istiod says that it is ready.
func (p *localPilot) ready(ctx context.Context) error {
	m := p.runtime
	c := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return m.host.Dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	w := clusters.StartWait(ctx, "istiod of "+m.r.Name)
	defer w.Done()
	for {
		err := ask(ctx, c, "http://"+m.address(portPilotHTTP)+"/ready")
		if err == nil {
			return nil
		}
		if gone := p.running().Err(); gone != nil {
			return fmt.Errorf("%w%s", gone, programs.LastWords(m.pilotLog()))
		}
		if !clusters.Pause(ctx, 4*pollEvery) {
			return errors.Join(fmt.Errorf("wait until istiod is ready: %w%s", context.Cause(ctx), programs.LastWords(m.pilotLog())), err)
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
