package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// engine says whether a container engine answers that has an image of a node.
func engine(t *testing.T) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "image", "ls", "--quiet", "kindest/node").Output()
	return err == nil && len(out) > 0
}

func TestWhatAKilledRunLeavesOnKindIsGoneAfterDown(t *testing.T) {
	if testing.Short() || !engine(t) {
		t.Skip("takes a container engine that has an image of a node, and a minute")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	meshbreach := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(ctx, "meshbreach", args...).CombinedOutput()
		if err != nil {
			t.Errorf("meshbreach %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run := exec.CommandContext(ctx, "meshbreach", "run", "--provider", "kind", "--mesh", "none", "--parallel", "1",
		"--probe", os.Getenv(probeVariable), "--report-dir", filepath.Join(t.TempDir(), "reports"))
	errs, err := run.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	name, killed := "", false
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		if made, ok := strings.CutPrefix(lines.Text(), "making cluster "); ok {
			name = made
		}
		// The cluster is there, and pods are being made on it.
		if lines.Text() == "making mesh none" {
			killed = run.Process.Kill() == nil
		}
	}
	_ = run.Wait() // it was killed
	if name == "" || !killed {
		t.Fatalf("the run ended before it was killed; cluster %q", name)
	}
	if !strings.Contains(containers(t), name) {
		t.Fatalf("nothing was left of %s: the test shows nothing", name)
	}
	if said := meshbreach("down"); !strings.Contains(said, "removed cluster "+strings.TrimPrefix(name, "meshbreach-")) {
		t.Errorf("down says %s", said)
	}
	if left := containers(t); strings.Contains(left, name) {
		t.Errorf("left: %s", left)
	}
	if said := meshbreach("down", strings.TrimPrefix(name, "meshbreach-")); !strings.HasPrefix(said, "Nothing to remove for ") {
		t.Errorf("down again says %s", said)
	}
}

func containers(t *testing.T) string {
	t.Helper()
	return docker(t, "ps", "--all", "--format", "{{.Names}}")
}
