package consul

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// Programs that run and say nothing, as a server that never leads does.
func silent(t testing.TB) meshes.Release {
	t.Helper()
	path := filepath.Join(t.TempDir(), "silent")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := meshes.Release{Programs: map[string]string{}}
	for _, name := range Programs() {
		r.Programs[name] = path
	}
	return r
}

func TestAnInstallationThatStandsStillEndsAndSaysWhy(t *testing.T) {
	c, err := local.Provider{}.Up(limit(t), clusters.Spec{Name: "stuck", Ranges: 2, Probe: "/proc/self/exe"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	_, err = Mesh{}.Install(ctx, c, silent(t))
	if err == nil || !strings.Contains(err.Error(), "wait for a leader and a root of consul-r1") || !strings.Contains(err.Error(), "consul-r2") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := c.Undo.Run(limit(t)); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatIsNotNamedIsTold(t *testing.T) {
	for _, name := range Programs() {
		r := silent(t)
		delete(r.Programs, name)
		if _, err := (Mesh{}).Install(t.Context(), &clusters.Cluster{}, r); err == nil || !strings.Contains(err.Error(), "names no program "+name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if Programs()[0] != Program || Programs()[2] != kubeapi.ProgramEtcd {
		t.Errorf("%q: the first one's version is that of the release", Programs())
	}
}
