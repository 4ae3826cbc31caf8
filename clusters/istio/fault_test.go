package istio

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

func (b *bed) unsettled(t testing.TB, p clusters.Policy, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	rev, err := b.mesh.Apply(ctx, b.r(), p)
	if err != nil {
		t.Fatal(err)
	}
	return b.mesh.Settled(ctx, b.r(), rev)
}

func wants(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error %q", w, err)
		}
	}
}

// generous lets everybody with an identity charge the bank.
func generous() clusters.Policy {
	p := friendly()
	p.Allow[0].From = []string{clusters.Anyone}
	return p
}

func TestAHungSidecarIsNotSettled(t *testing.T) {
	localOnly(t)
	b := shared(t)
	b.apply(t, friendly())
	bank := b.workload(t, "bank")
	if err := b.Host.Fault(bank, clusters.PartProxy, clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	err := b.unsettled(t, generous(), 500*time.Millisecond)
	if err := b.Host.Fault(bank, clusters.PartProxy, clusters.FaultResume); err != nil {
		t.Fatal(err)
	}
	wants(t, err, "bank", "deadline exceeded")
	b.apply(t, friendly())
}

func TestAPolicyThatCannotBeRenderedChangesNothing(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	for _, p := range []clusters.Policy{
		{Allow: []clusters.Rule{{From: []string{"nobody"}, To: "bank"}}},
		{Allow: []clusters.Rule{{To: "bank"}}, Tokens: &clusters.Tokens{Issuers: []string{"nobody"}}},
		{Trust: clusters.Trust{ExtraRoots: []string{"nobody"}}},
	} {
		_, err := b.mesh.Apply(limit(t), b.r(), p)
		wants(t, err, "nobody")
	}
	if o := b.knock(t, "web", b.charge(t, "web")); says(o) != "served 200" {
		t.Error(says(o))
	}
}

func TestAReplacedRevisionAndAnUnknownOneAreErrors(t *testing.T) {
	b := shared(t)
	ctx := limit(t)
	old, err := b.mesh.Apply(ctx, b.r(), friendly())
	if err != nil {
		t.Fatal(err)
	}
	b.apply(t, generous())
	wants(t, b.mesh.Settled(ctx, b.r(), old), old.ID, "replaced")
	wants(t, b.mesh.Settled(ctx, b.r(), clusters.Revision{ID: "x"}), "no revision")
}

func TestAWithheldPolicyDoesNotArriveUntilItIsWithheldNoMore(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	p := generous()
	p.Changes.Withhold = true
	b.apply(t, p)
	if o := b.knock(t, "thief", b.charge(t, "thief")); says(o) != "http 403 RBAC: access denied envoy" {
		t.Errorf("withheld: %s", says(o))
	}
	b.apply(t, generous())
	if o := b.knock(t, "thief", b.charge(t, "thief")); says(o) != "served 200" {
		t.Errorf("no more: %s", says(o))
	}
	b.apply(t, friendly())
}

// A mesh of its own: what is killed does not come back.
func TestWithoutItsControlPlaneTheMeshHoldsItsPolicyAndTakesNoOther(t *testing.T) {
	localOnly(t)
	b, err := newBed(Mesh{}, release(t), "doomed", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(t, friendly())
	h := b.Host.(clusters.ControlHost)
	if err := h.FaultService("istiod-r1", clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-b.mesh.stages["r1"].pilot.(*process).running().Done()
	for from, want := range map[string]string{"web": "served 200", "thief": "http 403 RBAC: access denied envoy"} {
		if o := b.knock(t, from, b.charge(t, from)); says(o) != want {
			t.Errorf("%s without istiod: %s", from, says(o))
		}
	}
	if err := b.unsettled(t, friendly(), 5*time.Second); err != nil {
		t.Errorf("what holds already does not settle: %v", err)
	}
	start := time.Now()
	wants(t, b.unsettled(t, generous(), 5*time.Second), "bank", "no change arrives any more", "istiod")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s to see that istiod is dead", took)
	}
	if err := b.Host.Fault(b.workload(t, "bank"), clusters.PartProxy, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	wants(t, b.unsettled(t, friendly(), 5*time.Second), "bank", "it has ended")
	if o := b.knock(t, "outsider", b.charge(t, "outsider")); o.Refusal == nil {
		t.Error("without its sidecar the bank is open")
	}
	if err := h.FaultService("kube-apiserver", clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	_, err = b.mesh.Apply(limit(t), b.r(), generous())
	wants(t, err, "apply AuthorizationPolicy")
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, st := range b.mesh.stages {
		for _, s := range st.sidecars {
			if c := s.seat.(*chair); c.envoy.Err() == nil || c.agent.Err() == nil {
				t.Errorf("the sidecar of %s outlives the cluster", s.workload.Name)
			}
		}
	}
}
