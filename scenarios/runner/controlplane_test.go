package runner_test

import (
	"context"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// on says whether this machine has what a mesh runs.
func on(t *testing.T, mesh string) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes a mesh of its own: make meshes")
	}
	if _, err := builtin.Release(t.Context(), mesh); err != nil {
		t.Skipf("NOT TESTED against a real %s: %v", mesh, err)
	}
}

// without kills a range's control plane, a service with this prefix, at the
// moment of the attempt.
func without(t *testing.T, service string) func(*scenarios.Scenario, *runner.Options) {
	return func(_ *scenarios.Scenario, o *runner.Options) {
		o.Hook = func(_ context.Context, when runner.Moment, c *clusters.Cluster, r clusters.Range) {
			host, ok := c.Host.(clusters.ControlHost)
			if !ok || when != runner.BeforeAttempt {
				return
			}
			if err := host.FaultService(service+r.Name, clusters.FaultKill); err != nil {
				t.Log(err) // a second try finds it dead already
			}
		}
	}
}

// A controlled mesh has a control plane that can be killed.
type controlled struct {
	mesh, service string
	unchanged     string // what it says of a change that does not arrive
}

func controlledMeshes() []controlled {
	return []controlled{
		{"consul", "consul-", "apply a policy in range r1"},
		{"istio", "istiod-", "no change arrives any more"},
	}
}

func TestAProxyThatIsKilledOrHangsIsInconclusiveOnARealMesh(t *testing.T) {
	for _, m := range controlledMeshes() {
		t.Run(m.mesh, func(t *testing.T) {
			on(t, m.mesh)
			for _, f := range []clusters.Fault{clusters.FaultKill, clusters.FaultHang} {
				a := onlyOn(t, m.mesh, "lateral/unauth-service", "once", faulty(t, clusters.PartProxy, f))
				wants(t, a, assertions.Inconclusive, assertions.Unjudged, "")
			}
		})
	}
}

func TestWithoutItsControlPlaneAMeshHoldsThePolicyThatWasGiven(t *testing.T) {
	for _, m := range controlledMeshes() {
		t.Run(m.mesh, func(t *testing.T) {
			on(t, m.mesh)
			a := onlyOn(t, m.mesh, "lateral/unauth-service", "once", without(t, m.service))
			wants(t, a, assertions.Blocked, assertions.Pass, "rbac_access_denied")
		})
	}
}

func TestWithoutItsControlPlaneAChangeIsInconclusiveAndSaysWhy(t *testing.T) {
	for _, m := range controlledMeshes() {
		t.Run(m.mesh, func(t *testing.T) {
			on(t, m.mesh)
			a := onlyOn(t, m.mesh, "lateral/policy-change-live", "fresh-http1", without(t, m.service))
			wants(t, a, assertions.Inconclusive, assertions.Unjudged, m.unchanged)
		})
	}
}
