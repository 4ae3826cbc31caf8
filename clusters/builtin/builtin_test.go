package builtin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

func TestEveryMeshAndProviderIsFoundByItsName(t *testing.T) {
	if names := builtin.MeshNames(); !slices.Equal(names, []string{"consul", "envoy", "istio", "none"}) {
		t.Errorf("meshes %q", names)
	}
	for _, m := range builtin.Meshes() {
		if got, err := builtin.Mesh(m.Describe().Name); err != nil || got.Describe().Name != m.Describe().Name {
			t.Errorf("mesh %s: %v, %v", m.Describe().Name, got, err)
		}
		for _, p := range m.Describe().Programs {
			if p == "" {
				t.Errorf("mesh %s needs a program without a name", m.Describe().Name)
			}
		}
	}
	for _, p := range builtin.Providers() {
		if got, err := builtin.Provider(p.Name()); err != nil || got.Name() != p.Name() {
			t.Errorf("provider %s: %v, %v", p.Name(), got, err)
		}
	}
}

func TestAMisspeltNameIsAnErrorThatNamesTheNearestAndAll(t *testing.T) {
	_, err := builtin.Mesh("envoi")
	if want := `unknown mesh "envoi" (did you mean "envoy"?): known are consul, envoy, istio, none`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := builtin.CheckWeakenings([]string{"accept-plaintext", "accept-plaintxt"}); err == nil || !strings.Contains(err.Error(), `"accept-plaintext"?`) {
		t.Errorf("error %v", err)
	}
}

// program writes a program that prints text.
func program(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+text+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAReleaseHasTheProgramsThatTheMeshNeeds(t *testing.T) {
	envoy := program(t, filepath.Join(t.TempDir(), "envoy"), "version: 0123abcd/1.2.3/Clean/RELEASE/BoringSSL")
	var notes []string
	r, err := builtin.Search{
		Paths: map[string]string{"envoy": envoy},
		Note:  func(s string) { notes = append(notes, s) },
	}.Release(t.Context(), "envoy")
	if err != nil || r.Version != "1.2.3" || r.Programs["envoy"] != envoy {
		t.Errorf("%+v, %v", r, err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "1.2.3 is not the version") {
		t.Errorf("notes %q, want one about the version", notes)
	}
	r, err = builtin.Release(t.Context(), "none")
	if err != nil || len(r.Programs) != 0 {
		t.Errorf("none: %+v, %v", r, err)
	}
}

func TestAMissingProgramIsSaidWithEveryPlaceAndNotDownloadedUnasked(t *testing.T) {
	nowhere(t)
	_, err := builtin.Release(t.Context(), "envoy")
	var missing *programs.NotFoundError
	if !errors.As(err, &missing) || len(missing.Looked) < 4 || missing.How == "" {
		t.Errorf("error %v", err)
	}
	checks := builtin.CheckPrograms(t.Context())
	i := slices.IndexFunc(checks, func(c builtin.Check) bool { return c.What == "envoy" })
	if i < 0 || !errors.As(checks[i].Err, &missing) || !slices.Equal(checks[i].Meshes, []string{"consul", "envoy", "istio"}) {
		t.Errorf("checks %+v", checks)
	}
	// With no pip on PATH the download fails, and is announced before.
	var notes []string
	_, err = builtin.Search{Get: true, Note: func(s string) { notes = append(notes, s) }}.Release(t.Context(), "envoy")
	if !errors.As(err, &missing) || len(notes) != 1 {
		t.Errorf("error %v, notes %q", err, notes)
	}
}

func TestASearchThatWasEndedDownloadsNothing(t *testing.T) {
	nowhere(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := builtin.Search{Get: true, Note: func(s string) { t.Errorf("note %q", s) }}.Release(ctx, "envoy")
	if err == nil {
		t.Error("no error")
	}
}

// nowhere makes a place without any program.
func nowhere(t *testing.T) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
	t.Setenv("MESHBREACH_ENVOY", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

func TestTheProbeIsTheOneGivenOrTheOneOnPath(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := builtin.Probe("")
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v", err)
	}
	if _, err := builtin.Probe("nowhere"); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v", err)
	}
	dir := t.TempDir()
	want := program(t, filepath.Join(dir, "probe"), "")
	if got, err := builtin.Probe(want); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	t.Setenv("PATH", dir)
	if got, err := builtin.Probe(""); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestWhatIsHandedOverIsReadOnce(t *testing.T) {
	t.Setenv("MESHBREACH_HANDOVER", `{"id":"ab12","probe":"/p","version":"1","programs":{"envoy":"/e"}}`)
	h, err := builtin.Received()
	if err != nil || h.ID != "ab12" || h.Probe != "/p" || h.Release().Version != "1" || h.Release().Programs["envoy"] != "/e" {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := builtin.Received(); err == nil {
		t.Error("read twice: the children of a run would see it")
	}
}
