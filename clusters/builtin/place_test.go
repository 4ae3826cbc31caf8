package builtin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

// docker puts a program of that name alone on PATH; script is what it does.
func docker(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

const (
	nodeAlone = "echo kindest/node:v1.36.3"
	nothing   = "echo other/image:1"
	refuses   = "echo no socket >&2; exit 1"
	hangs     = "exec /bin/sleep 60"
	all       = "echo kindest/node:v1.36.3; echo localhost/istio/pilot:1.30; echo localhost/istio/pilot:1.31; echo localhost/istio/proxyv2:1.31"
)

func TestAutoSaysWhatItChoseAndWhy(t *testing.T) {
	for name, c := range map[string]struct{ script, provider, mesh, wantProvider, wantMesh, why string }{
		"everything is there":               {all, "auto", "auto", "kind", "istio", "has kindest/node:v1.36.3"},
		"everything is there, and Istio":    {all, "auto", "istio", "kind", "istio", "has kindest/node:v1.36.3"},
		"a mesh that kind is not taken for": {all, "auto", "consul", "local", "consul", "kind is the default only for mesh istio"},
		"no mesh, which is quick":           {all, "auto", "none", "local", "none", "the default only for"},
		"the engine refuses":                {refuses, "auto", "auto", "local", "envoy", "no container engine answers"},
		"the engine refuses, and Istio":     {refuses, "auto", "istio", "local", "istio", "no container engine answers"},
		"the engine hangs":                  {hangs, "auto", "auto", "local", "envoy", "answered within"},
		"no image of a node":                {nothing, "auto", "auto", "local", "envoy", "no image of a node (hack/offline makes one"},
		"no images of the mesh":             {nodeAlone, "auto", "auto", "local", "envoy", "no images of Istio"},
		"local as asked":                    {all, "local", "auto", "local", "envoy", "as asked, with mesh envoy"},
		"local as asked, with a mesh":       {all, "local", "istio", "local", "istio", "provider local, as asked"},
		"kind as asked, without an engine":  {refuses, "kind", "auto", "kind", "istio", "as asked, with mesh istio"},
		"kind as asked, without any mesh":   {refuses, "kind", "none", "kind", "none", "provider kind, as asked"},
		"existing as asked, without a mesh": {refuses, "existing", "auto", "existing", "istio", "as asked, with mesh istio"},
	} {
		t.Run(name, func(t *testing.T) {
			docker(t, c.script)
			got, err := builtin.Place{Provider: c.provider, Mesh: c.mesh, Context: "staging", ProbeImage: "registry.test/probe:1"}.Choose(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Provider.Name() != c.wantProvider || got.Mesh.Describe().Name != c.wantMesh || !strings.Contains(got.Why, c.why) || !strings.HasPrefix(got.Why, "provider "+c.wantProvider) {
				t.Errorf("provider %s, mesh %s, %q", got.Provider.Name(), got.Mesh.Describe().Name, got.Why)
			}
		})
	}
}

func TestAMachineWithoutAnEngineIsToldFromOneThatRefuses(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c, err := builtin.Place{Provider: "auto", Mesh: "auto"}.Choose(t.Context())
	if err != nil || !strings.HasSuffix(c.Why, "chosen because there is no container engine on PATH") {
		t.Errorf("%q, %v", c.Why, err)
	}
}

func TestAPlaceThatCannotBeIsSaidWithWhatCan(t *testing.T) {
	docker(t, all)
	for _, c := range []struct {
		place builtin.Place
		want  string
	}{
		{builtin.Place{Provider: "atuo-matic", Mesh: "envoy"}, `unknown provider "atuo-matic": known are auto, existing, kind, local`},
		{builtin.Place{Provider: "auto", Mesh: "autp"}, `unknown mesh "autp" (did you mean "auto"?): known are auto, consul, envoy, istio, none`},
		{builtin.Place{Provider: "kind", Mesh: "consul"}, "mesh consul is not built for provider kind, where there are istio and none; it runs on local"},
		{builtin.Place{Provider: "existing", Mesh: "envoy"}, "mesh envoy is not built for provider existing, where there are istio and none; it runs on local"},
		{builtin.Place{Provider: "existing", Mesh: "istio"}, "provider existing needs --context NAME; the current context is never used by default"},
		{builtin.Place{Provider: "existing", Mesh: "istio", Context: "staging"}, "provider existing needs --probe-image REFERENCE, an image that the nodes have or can pull; to create it, run meshbreach image"},
	} {
		if _, err := c.place.Choose(t.Context()); err == nil || err.Error() != c.want {
			t.Errorf("%+v: error %v, want %s", c.place, err, c.want)
		}
	}
}

func TestIstiosImagesAreThoseThatTheEngineHas(t *testing.T) {
	for name, c := range map[string]struct {
		script, version, hub string
		wantHub, wantTag     string
	}{
		"what is there":                   {all, "", "", "localhost/istio", "1.31"},
		"that very version":               {all, "1.31", "", "localhost/istio", "1.31"},
		"another version":                 {all, "1.29.0", "", "", "1.29.0"},
		"another hub":                     {all, "", "mirror.test/istio", "mirror.test/istio", ""},
		"nothing is there":                {nothing, "", "", "", ""},
		"nothing is there, and a version": {nothing, "1.29.0", "", "", "1.29.0"},
	} {
		t.Run(name, func(t *testing.T) {
			docker(t, c.script)
			charts := filepath.Join(t.TempDir(), "charts.tgz")
			if err := os.WriteFile(charts, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("MESHBREACH_ISTIO_CHARTS", charts)
			choice, err := builtin.Place{Provider: "kind", Mesh: "istio", MeshVersion: c.version, Registry: c.hub}.Choose(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, err := choice.Release(t.Context(), builtin.Search{})
			if err != nil || r.Hub != c.wantHub || r.Tag != c.wantTag {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}
