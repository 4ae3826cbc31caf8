package scenarios_test

import (
	"context"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

// onIstio says whether this machine has what mesh istio runs.
func onIstio(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes a mesh of its own")
	}
	if _, err := builtin.Release(t.Context(), "istio"); err != nil {
		t.Skipf("NOT TESTED against a real Istio: %v", err)
	}
}

// unguided kills istiod at the moment of the attempt.
func unguided(t *testing.T) func(*scenarios.Scenario, *scenarios.Options) {
	return func(_ *scenarios.Scenario, o *scenarios.Options) {
		o.Meddle = func(_ context.Context, when scenarios.Moment, c *clusters.Cluster, r clusters.Range) {
			host, ok := c.Host.(clusters.ControlHost)
			if !ok || when != scenarios.BeforeAttempt {
				return
			}
			if err := host.FaultService("istiod-"+r.Name, clusters.FaultKill); err != nil {
				t.Log(err) // a second try finds it dead already
			}
		}
	}
}

func TestOnIstioAProxyThatIsKilledOrHangsIsInconclusive(t *testing.T) {
	onIstio(t)
	for _, f := range []clusters.Fault{clusters.FaultKill, clusters.FaultHang} {
		a := onlyOn(t, "istio", "lateral/unauth-service", "once", faulty(t, clusters.PartProxy, f))
		wants(t, a, assertions.Inconclusive, assertions.Unjudged, "")
	}
}

func TestWithoutIstiodThePolicyThatWasGivenHolds(t *testing.T) {
	onIstio(t)
	a := onlyOn(t, "istio", "lateral/unauth-service", "once", unguided(t))
	wants(t, a, assertions.Blocked, assertions.Pass, "rbac_access_denied")
}

func TestWithoutIstiodAChangeIsInconclusiveAndSaysWhy(t *testing.T) {
	onIstio(t)
	a := onlyOn(t, "istio", "lateral/policy-change-live", "fresh-http1", unguided(t))
	wants(t, a, assertions.Inconclusive, assertions.Unjudged, "no change arrives any more")
}
