package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const engineEnd = time.Minute // an engine ends its containers first

// An ownEngine is a dockerd that has nothing in common with one that the machine
// may have: its own socket, folders, names in containerd and configuration.
type ownEngine struct {
	run  string // socket and pid; short, for the path of a socket has at most 107 characters
	data string // images, containers, configuration, log
}

func (o ownEngine) socket() string { return filepath.Join(o.run, "docker.sock") }
func (o ownEngine) pid() string    { return filepath.Join(o.run, "docker.pid") }
func (o ownEngine) config() string { return filepath.Join(o.data, "daemon.json") }
func (o ownEngine) log() string    { return filepath.Join(o.data, "dockerd.log") }

// host is its DOCKER_HOST.
func (o ownEngine) host() string { return "unix://" + o.socket() }

// settings are its daemon.json. A runtime, which may be "", is used instead of runc.
func (o ownEngine) settings(runtime string) ([]byte, error) {
	s := map[string]any{
		"hosts":     []string{o.host()},
		"pidfile":   o.pid(),
		"exec-root": filepath.Join(o.run, "exec"),
		"data-root": filepath.Join(o.data, "data"),
		// Where the machine's containerd runs, both engines use it.
		"containerd-namespace": "meshbreach",
		// kind makes a network of its own, and docker0 may be another engine's.
		"bridge": "none",
		// With cgroup v1 a node would otherwise see the machine's groups.
		"default-cgroupns-mode": "private",
	}
	if runtime != "" {
		s["default-runtime"] = "lesscaps"
		s["runtimes"] = map[string]any{"lesscaps": map[string]any{"path": runtime}}
	}
	return json.MarshalIndent(s, "", "  ")
}

// start starts it and waits until it answers. It outlives this program.
func (o ownEngine) start(ctx context.Context, lacking []string) error {
	for _, dir := range []string{o.run, o.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the engine's folder: %w", err)
		}
	}
	runtime := ""
	if len(lacking) > 0 {
		runtime = filepath.Join(o.data, "lesscaps")
		if err := build(ctx, "lesscaps", runtime); err != nil {
			return err
		}
	}
	settings, err := o.settings(runtime)
	if err != nil {
		return fmt.Errorf("configure the engine: %w", err)
	}
	if err := os.WriteFile(o.config(), settings, 0o600); err != nil {
		return fmt.Errorf("configure the engine: %w", err)
	}
	log, err := os.Create(o.log())
	if err != nil {
		return fmt.Errorf("open the engine's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the daemon writes to its own copy
	//nolint:gosec,noctx // it is to outlive this program
	daemon := exec.Command("dockerd", "--config-file", o.config())
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	err = answering(ctx, wait(daemon), func(ctx context.Context) error {
		_, err := engine{host: o.host()}.version(ctx)
		return err
	})
	if err != nil {
		said, _ := os.ReadFile(o.log())
		if end := daemon.Process.Signal(syscall.SIGTERM); end != nil && !errors.Is(end, os.ErrProcessDone) {
			err = errors.Join(err, end)
		}
		return fmt.Errorf("start an engine: %w: %s", err, lastLines(string(said), 3))
	}
	return nil
}

// stop ends it, and the containers that it runs. Its images stay.
func (o ownEngine) stop(ctx context.Context) (was bool, err error) {
	pid, err := o.running()
	if pid == 0 || err != nil {
		return false, err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return true, fmt.Errorf("end the engine (process %d): %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, engineEnd)
	defer cancel()
	tick := time.NewTicker(ask)
	defer tick.Stop()
	for {
		if pid, err := o.running(); pid == 0 || err != nil {
			return true, err
		}
		select {
		case <-ctx.Done():
			return true, fmt.Errorf("end the engine (process %d): it still runs; its log is %s: %w", pid, o.log(), ctx.Err())
		case <-tick.C:
		}
	}
}

// running is the daemon's process, or 0. A number alone may be somebody else's
// by now, so its command has to name our configuration.
func (o ownEngine) running() (int, error) {
	text, err := os.ReadFile(o.pid())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the engine's process: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the engine's process in %s: %w", o.pid(), err)
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(command), o.config()) {
		return 0, nil
	}
	return pid, nil
}

// build makes one of the small programs of this folder. It is static, for it
// runs where nothing else is.
func build(ctx context.Context, name, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, "./hack/airgap/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", name, err, lastLines(string(out), 3))
	}
	return nil
}
