package istio

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// generous lets everybody with an identity charge the bank.
func generous() policy.Policy {
	p := meshtest.Friendly()
	p.Allow[0].From = []string{policy.Anyone}
	return p
}

func TestAHungSidecarIsNotSettled(t *testing.T) {
	localOnly(t)
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	var err error
	b.Hung(t, "bank", func() { err = b.Unsettled(t, generous(), 500*time.Millisecond) })
	meshtest.WantsNotReady(t, err, "bank", "deadline exceeded")
	b.Apply(t, meshtest.Friendly())
}

func TestAPolicyThatCannotBeRenderedChangesNothing(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	b.TakesNothingUnsaid(t)
	if o := b.Request(t, "web", b.Charge(t, "web")); meshtest.Says(o) != "served 200" {
		t.Error(meshtest.Says(o))
	}
}

func TestAReplacedRevisionAndAnUnknownOneAreErrors(t *testing.T) {
	shared(t).TakesNoOldRevision(t, meshtest.Friendly(), generous(), "no revision")
}

func TestAWithheldPolicyDoesNotArriveUntilItIsWithheldNoMore(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	p := generous()
	p.Changes.Withhold = true
	b.Apply(t, p)
	if o := b.Request(t, "thief", b.Charge(t, "thief")); meshtest.Says(o) != "http 403 RBAC: access denied envoy" {
		t.Errorf("withheld: %s", meshtest.Says(o))
	}
	b.Apply(t, generous())
	if o := b.Request(t, "thief", b.Charge(t, "thief")); meshtest.Says(o) != "served 200" {
		t.Errorf("no more: %s", meshtest.Says(o))
	}
	b.Apply(t, meshtest.Friendly())
}

// A mesh of its own: what is killed does not come back.
func TestWithoutItsControlPlaneTheMeshHoldsItsPolicyAndTakesNoOther(t *testing.T) {
	localOnly(t)
	b, err := newBed(Mesh{}, release(t), "doomed", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(t, meshtest.Friendly())
	h := b.Host.(clusters.ControlHost)
	if err := h.FaultService("istiod-r1", clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-b.mesh.stages["r1"].pilot.(*localPilot).running().Done()
	for from, want := range map[string]string{"web": "served 200", "thief": "http 403 RBAC: access denied envoy"} {
		if o := b.Request(t, from, b.Charge(t, from)); meshtest.Says(o) != want {
			t.Errorf("%s without istiod: %s", from, meshtest.Says(o))
		}
	}
	if err := b.Unsettled(t, meshtest.Friendly(), 5*time.Second); err != nil {
		t.Errorf("what holds already does not settle: %v", err)
	}
	start := time.Now()
	meshtest.Wants(t, b.Unsettled(t, generous(), 5*time.Second), "bank", "no change arrives any more", "istiod")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s to see that istiod is dead", took)
	}
	b.Fault(t, b.Workload(t, "bank"), clusters.FaultKill)
	meshtest.Wants(t, b.Unsettled(t, meshtest.Friendly(), 5*time.Second), "bank", "it has ended")
	if o := b.Request(t, "outsider", b.Charge(t, "outsider")); o.Refusal == nil {
		t.Error("without its sidecar the bank is open")
	}
	if err := h.FaultService("kube-apiserver", clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	_, err = b.mesh.Apply(limit(t), b.Range(), generous())
	meshtest.Wants(t, err, "apply AuthorizationPolicy")
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, st := range b.mesh.stages {
		for _, s := range st.sidecars {
			if c := s.instance.(*localProxy); c.envoy.Err() == nil || c.agent.Err() == nil {
				t.Errorf("the sidecar of %s outlives the cluster", s.workload.Name)
			}
		}
	}
}
