package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOurEngineSharesNothingWithAnotherOne(t *testing.T) {
	o := ownEngine{run: "/run/ours", data: "/cache/ours"}
	for _, runtime := range []string{"", "/cache/ours/lesscaps"} {
		text, err := o.settings(runtime)
		if err != nil {
			t.Fatal(err)
		}
		var s map[string]any
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"pidfile": "/run/ours/docker.pid", "exec-root": "/run/ours/exec", "data-root": "/cache/ours/data", "bridge": "none",
			"containerd-namespace": "meshbreach",
		} {
			if s[key] != want {
				t.Errorf("%s is %v, want %s", key, s[key], want)
			}
		}
		if _, wrapped := s["default-runtime"]; wrapped != (runtime != "") {
			t.Errorf("with runtime %q: %s", runtime, text)
		}
		if strings.Contains(string(text), "/etc/docker") {
			t.Error("it names the machine's own settings")
		}
	}
}

func TestAProcessThatIsNotOurEngineIsLeftAlone(t *testing.T) {
	o := ownEngine{run: t.TempDir(), data: t.TempDir()}
	if was, err := o.stop(t.Context()); was || err != nil {
		t.Errorf("nothing runs: %t, %v", was, err)
	}
	// The number is ours by now: a process that another program has.
	if err := os.WriteFile(o.pid(), fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if was, err := o.stop(t.Context()); was || err != nil {
		t.Errorf("somebody else's process: %t, %v", was, err)
	}
}

func TestOurEngineIsAskedToEndAndWaitedFor(t *testing.T) {
	o := ownEngine{run: t.TempDir(), data: t.TempDir()}
	// Its command names the configuration, as the daemon's does.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo up; read end", o.config())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	ended := wait(cmd)
	if err := os.WriteFile(o.pid(), fmt.Appendln(nil, cmd.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if was, err := o.stop(t.Context()); !was || err != nil {
		t.Errorf("%t, %v", was, err)
	}
	if pid, err := o.running(); pid != 0 || err != nil {
		t.Errorf("process %d still runs, %v", pid, err)
	}
	<-ended
}

func TestAFileAppearsInFullOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar")
	broken := errors.New("broken")
	err := whole(path, func(draft string) error {
		return errors.Join(os.WriteFile(draft, []byte("half"), 0o600), broken)
	})
	left, _ := os.ReadDir(dir)
	if !errors.Is(err, broken) || len(left) != 0 {
		t.Errorf("%v, and %d files are left", err, len(left))
	}
	if err := whole(path, func(draft string) error { return os.WriteFile(draft, []byte("all"), 0o600) }); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "all" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAStepThatFailsEndsTheWalkAndIsInTheTable(t *testing.T) {
	var ran []string
	do := func(name string, err error) step {
		return step{name, func(context.Context) (string, error) { ran = append(ran, name); return "did " + name, err }}
	}
	broken := errors.New("broken")
	var out bytes.Buffer
	err := walk(t.Context(), []step{do("first", nil), do("second", broken), do("third", nil)}, &out, func(string) {})
	if !errors.Is(err, broken) || strings.Join(ran, " ") != "first second" {
		t.Errorf("ran %q: %v", ran, err)
	}
	if !strings.Contains(out.String(), "did first") || !strings.Contains(out.String(), "not done") {
		t.Errorf("table %q", out.String())
	}
}

func TestWhatIsMissingSaysHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	missing := check(t.Context(), []need{
		command("mmdebstrap", "makes Debian", "mmdebstrap"),
		{what: "room", met: func(context.Context) error { return room(t.TempDir(), 1) }},
		{what: "much room", met: func(context.Context) error { return room(t.TempDir(), 1<<62) }},
	})
	if len(missing) != 2 {
		t.Fatalf("%v", missing)
	}
	if got, want := missing[0].String(), "mmdebstrap (makes Debian): not on PATH: apt-get install mmdebstrap"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := missing[1].String(); !strings.Contains(got, "XDG_CACHE_HOME") {
		t.Error(got)
	}
}
