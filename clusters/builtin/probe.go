package builtin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Probe finds the program that runs inside every workload: what the user gave,
// the one beside this program, or one on PATH. The path is absolute. The error
// says where it was looked for and how to get it.
func Probe(given string) (string, error) {
	if given != "" {
		return runnable(given)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the probe beside this program: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), "probe")
	if path, err := runnable(beside); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("probe")
	if err != nil {
		return "", fmt.Errorf("find probe: looked at --probe (not given), %s (not there), PATH (no probe); get it with: make build", beside)
	}
	return filepath.Abs(path)
}

func runnable(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find probe: %w", err)
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("use probe %s: %w; get it with: make build", path, err)
	}
	return path, nil
}

// ProbeImage writes the probe's image to a file, as docker save would, and
// returns its reference.
func ProbeImage(probe, file string) (string, error) { return kubernetes.Image(probe, file) }
