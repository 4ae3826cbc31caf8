package istio

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

// speaking is a program that answers as an Envoy does that is asked to
// validate a configuration with Istio's filter, and as a broken one otherwise.
func speaking(t *testing.T, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "envoy")
	script := "#!/bin/sh\ncase \"$*\" in *'--mode validate'*--config-yaml*istio.alpn*) ;; *) exit 9;; esac\n" + answer + "\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIstiosOwnBuildIsToldByItsFilter(t *testing.T) {
	own, err := OwnBuild(t.Context(), speaking(t, `echo "configuration '' OK"`))
	if err != nil || !own {
		t.Errorf("an Envoy with the filter: %t, %v", own, err)
	}
	own, err = OwnBuild(t.Context(), speaking(t, `echo "could not find @type 'type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig'" >&2; exit 1`))
	if err != nil || own {
		t.Errorf("an Envoy without it: %t, %v", own, err)
	}
}

func TestAnEnvoyThatCannotTellItsBuildIsAnError(t *testing.T) {
	for what, answer := range map[string]string{
		"it fails for another reason": "echo no memory >&2; exit 1",
		"it is ended":                 "kill -9 $$",
		"it says yes to anything":     "exit 0",
		"it does not take the words":  "exit 9",
	} {
		if own, err := OwnBuild(t.Context(), speaking(t, answer)); err == nil || own {
			t.Errorf("%s: %t, %v", what, own, err)
		}
	}
	if _, err := OwnBuild(t.Context(), filepath.Join(t.TempDir(), "envoy")); err == nil {
		t.Error("an Envoy that is not there told its build")
	}
}

func TestStockEnvoyRefusesTheFilterAndNothingElse(t *testing.T) {
	envoy, err := programs.Find(t.Context(), "envoy", programs.Options{})
	if err != nil {
		t.Skipf("NOT TESTED against a real Envoy: %v", err)
	}
	own, err := OwnBuild(t.Context(), envoy.Path)
	if err != nil {
		t.Fatal(err)
	}
	if own {
		t.Skip("the Envoy found is Istio's own build")
	}
	from := strings.Index(configOwn, `{"name":"`+filterOwn)
	to := strings.Index(configOwn, `{"name":"envoy.filters.http.router"`)
	without := configOwn[:from] + configOwn[to:]
	if out, err := exec.CommandContext(t.Context(), envoy.Path, "--mode", "validate", "--config-yaml", without).CombinedOutput(); err != nil {
		t.Errorf("without the filter it is refused as well: %v\n%s", err, out)
	}
}
