package kubeapi_test

import (
	"context"
	"flag"
	"io"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

var lean = flag.Bool("lean", false, "an API without the kinds of workload controllers")

// The test binary is the probes as well: they only wait for their end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-hide" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(local.Main(m.Run))
}

// theAPI is shared: it takes seconds to make.
var theAPI = struct {
	sync.Mutex
	made *kubeapi.API
	at   netip.Addr
	took time.Duration
}{}

func shared(t *testing.T) *kubeapi.API {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Kubernetes API: make meshes")
	}
	theAPI.Lock()
	defer theAPI.Unlock()
	if theAPI.made != nil {
		return theAPI.made
	}
	paths := map[string]string{}
	for _, name := range []string{kubeapi.ProgramEtcd, kubeapi.ProgramServer, kubeapi.ProgramController} {
		found, err := programs.Find(t.Context(), name, programs.Options{})
		if err != nil {
			t.Skipf("NOT TESTED against a real API: %v", err)
		}
		paths[name] = found.Path
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := local.Provider{}.Up(ctx, clusters.Spec{Name: "kube", Ranges: 1, Probe: "/proc/self/exe"})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Host.(clusters.ControlHost)
	at, err := h.Control(ctx, c.Ranges[0])
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	api, err := kubeapi.Options{Lean: *lean}.Start(ctx, h, paths, at)
	if err != nil {
		t.Fatal(err)
	}
	theAPI.took = time.Since(start)
	theAPI.made, theAPI.at = api, at
	return api
}
