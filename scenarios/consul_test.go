package scenarios_test

import (
	"context"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

// onConsul says whether this machine has what mesh consul runs.
func onConsul(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes a mesh of its own")
	}
	if _, err := builtin.Release(t.Context(), "consul"); err != nil {
		t.Skipf("NOT TESTED against a real Consul: %v", err)
	}
}

func TestOnConsulAProxyThatIsKilledOrHangsIsInconclusive(t *testing.T) {
	onConsul(t)
	for _, f := range []clusters.Fault{clusters.FaultKill, clusters.FaultHang} {
		a := onlyOn(t, "consul", "lateral/unauth-service", "once", faulty(t, clusters.PartProxy, f))
		wants(t, a, assertions.Inconclusive, assertions.Unjudged, "")
	}
}

// headless kills the servers at the moment of the attempt.
func headless(t *testing.T) func(*scenarios.Scenario, *scenarios.Options) {
	return func(_ *scenarios.Scenario, o *scenarios.Options) {
		o.Meddle = func(_ context.Context, when scenarios.Moment, c *clusters.Cluster, r clusters.Range) {
			host, ok := c.Host.(clusters.ControlHost)
			if !ok || when != scenarios.BeforeAttempt {
				return
			}
			if err := host.FaultService("consul-"+r.Name, clusters.FaultKill); err != nil {
				t.Log(err) // a second try finds it dead already
			}
		}
	}
}

func TestWithoutItsServersConsulHoldsThePolicyThatWasGiven(t *testing.T) {
	onConsul(t)
	a := onlyOn(t, "consul", "lateral/unauth-service", "once", headless(t))
	wants(t, a, assertions.Blocked, assertions.Pass, "rbac_access_denied")
}

func TestWithoutItsServersAChangeOnConsulIsInconclusive(t *testing.T) {
	onConsul(t)
	a := onlyOn(t, "consul", "lateral/policy-change-live", "fresh-http1", headless(t))
	wants(t, a, assertions.Inconclusive, assertions.Unjudged, "apply a policy in range r1")
}
