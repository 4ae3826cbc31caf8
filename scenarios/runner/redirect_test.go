package runner_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// By a mesh's own rules everything is as by ours: who may be served is, and who
// may not be is refused by the same proxy for the same reason.
func TestUnderAMeshesOwnRulesTheVerdictsAreTheSame(t *testing.T) {
	if raw, err := os.ReadFile("/proc/self/uid_map"); err != nil || strings.HasSuffix(strings.TrimSpace(string(raw)), " 1") {
		t.Skip("NOT TESTED: rules that know a proxy by its user take root")
	}
	if _, err := exec.LookPath("iptables"); err != nil {
		t.Skipf("NOT TESTED: %v", err)
	}
	for _, mesh := range []string{"consul", "istio"} {
		t.Run(mesh, func(t *testing.T) {
			on(t, mesh)
			o := options(t, mesh, "lateral/unauth-service", "lateral/plaintext-unmeshed", "token/jwt-absent-token")
			own, ok := o.Mesh.(meshes.Redirecting)
			if !ok {
				t.Fatal("the mesh has no rules of its own")
			}
			o.Mesh = own.OwnRules()
			r, err := runner.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if d := differences(expected(o.Scenarios, mesh), verdicts(o.Scenarios, r)); d != "" {
				t.Errorf("expected (-) and seen (+) differ:\n%s", d)
			}
		})
	}
}
