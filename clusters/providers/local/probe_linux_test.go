package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// buildProbe builds the real probe.
func buildProbe(t *testing.T) string {
	t.Helper()
	if files, _ := filepath.Glob("../../../cmd/probe/*.go"); len(files) == 0 {
		t.Skip("there is no source of the probe beside this package")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("the probe cannot be built: %v", err)
	}
	probe := filepath.Join(t.TempDir(), "probe")
	if out, err := exec.Command("go", "build", "-o", probe, "../../../cmd/probe").CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return probe
}

// A thief must not be root over a proxy's keys.
func TestTheProbeHasNoCapabilitiesAndCannotSeeScratch(t *testing.T) {
	needProc(t)
	c, err := local.Provider{}.Up(t.Context(), clusters.Spec{Name: "real", Ranges: 1, Probe: buildProbe(t)})
	if err != nil {
		t.Fatal(err)
	}
	undoAtEnd(t, c)
	key := filepath.Join(whole(c.Host).Scratch(), "proxy.key")
	if err := os.WriteFile(key, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	probes := offspring(t)
	if len(probes) != len(clusters.Cast()) {
		t.Fatalf("%d probes: %v", len(probes), probes)
	}
	for _, pid := range probes {
		// The probe gives up its powers after it was started.
		until(t, fmt.Sprintf("probe %d holds no capability", pid), func() bool { return capabilities(t, pid) == "" })
		seen := fmt.Sprintf("/proc/%d/root%s", pid, key)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/proc", pid)); err != nil {
			t.Fatalf("control: %v", err)
		}
		if _, err := os.Stat(seen); !os.IsNotExist(err) {
			t.Errorf("probe %d sees %s: %v", pid, key, err)
		}
	}
}

// capabilities lists the sets of a process that are not empty.
func capabilities(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var held []string
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if strings.HasPrefix(name, "Cap") && strings.Trim(value, "0") != "" {
			held = append(held, name)
		}
	}
	return strings.Join(held, " ")
}
