package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// handover is the environment variable in which a process tells the one that
// it starts inside what it found while it had a network.
const handover = "MESHBREACH_HANDOVER"

// A Handover is what the inner process of a run must not look for again.
type Handover struct {
	ID       string            `json:"id"`    // of the run
	Probe    string            `json:"probe"` // path
	Version  string            `json:"version,omitempty"`
	Proxy    string            `json:"proxy,omitempty"`
	Programs map[string]string `json:"programs,omitempty"` // path by name

	release meshes.Release
}

// Take takes over the mesh's release that was found.
func (h *Handover) Take(r meshes.Release) {
	h.Version, h.Proxy, h.Programs, h.release = r.Version, r.Proxy, r.Programs, r
}

// Release is the mesh's release that was found. What it has for Kubernetes
// stays in the process that found it: no inner process makes clusters there.
func (h Handover) Release() meshes.Release {
	r := h.release
	r.Version, r.Proxy, r.Programs = h.Version, h.Proxy, h.Programs
	return r
}

// Inside says whether this is the inner process that Enter started.
func Inside() bool { return local.Inside() }

// Enters says whether a provider works only in a process that Enter started.
func Enters(p clusters.Provider) bool { return p.Name() == (local.Provider{}).Name() }

// Enter runs this program again with args, as the first process in namespaces
// of its own, and returns its exit code. It forwards SIGINT and SIGTERM, and
// kills the inner process at the third. An error means that it could not be
// started, or that a signal ended it before it could clean up; the kernel did.
func Enter(ctx context.Context, h Handover, args []string) (int, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return 2, fmt.Errorf("hand over to the inner process: %w", err)
	}
	// The signal that ends ctx is forwarded. Ending ctx here as well would cut
	// the inner process short in its undo.
	code, err := local.Reexec(context.WithoutCancel(ctx), args, handover+"="+string(b))
	if err == nil && code >= 128 {
		return 2, fmt.Errorf("the inner process was ended by signal %d; the kernel removed all that it had made", code-128)
	}
	return code, err
}

// Received is what the outer process handed over. It must be read before
// anything is started: the variable is taken out of the environment.
func Received() (Handover, error) {
	var h Handover
	raw, ok := os.LookupEnv(handover)
	if !ok {
		return h, errors.New("the outer process handed nothing over")
	}
	if err := json.Unmarshal([]byte(raw), &h); err != nil {
		return h, fmt.Errorf("read what the outer process handed over: %w", err)
	}
	return h, os.Unsetenv(handover)
}

// Prepare makes the inner process fit for clusters. An error is one of set-up:
// nothing was made.
func Prepare() error { return local.Prepare() }

// Main is for TestMain of packages that make clusters: it runs the tests
// inside and returns the exit code.
func Main(run func() int) int { return local.Main(run) }

// OuterPid is the number of this process as the user's own tools show it; 0
// where it cannot be told. It must be asked for before Prepare.
func OuterPid() int {
	// Until then /proc is the outer one.
	at, err := os.Readlink("/proc/self")
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(at)
	if err != nil {
		return 0
	}
	return pid
}
