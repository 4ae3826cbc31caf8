package istio

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

// The honest are served while a root is replaced in three steps, and afterwards
// nobody knows the old one any more.
func TestARootIsReplacedWhileTheHonestAreServed(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	before := b.mesh.stages[b.Range().Name].ca.Bundle()
	for _, what := range []identity.Rotation{identity.RotateLeaf, identity.RotateIssuer, identity.AddRoot, identity.UseRoot, identity.DropRoot} {
		ctx := limit(t)
		rev, err := b.Authority(t).Rotate(ctx, what)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := b.mesh.Settled(ctx, b.Range(), rev); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s settled after %s", what, time.Since(rev.Asked).Round(time.Millisecond))
		for from, want := range map[string]string{"web": "served 200", "thief": "http 403 RBAC: access denied envoy"} {
			if o := b.Request(t, from, b.Charge(t, from)); meshtest.Says(o) != want {
				t.Errorf("%s after %s: %s", from, what, meshtest.Says(o))
			}
		}
	}
	if equalSets(before, b.mesh.stages[b.Range().Name].ca.Bundle()) {
		t.Error("the root is the same")
	}
	pair, err := b.Authority(t).Delivered(limit(t), b.Workload(t, "web"))
	if err != nil || !matching(pair) {
		t.Errorf("the leaf and the key that were delivered: %v", err)
	}
}

func TestAnAuthorityThatIsAwayComesBack(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	for _, what := range []identity.Rotation{identity.StopRenewal, identity.StartRenewal} {
		if _, err := b.Authority(t).Rotate(limit(t), what); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if o := b.Request(t, "web", b.Charge(t, "web")); meshtest.Says(o) != "served 200" {
			t.Errorf("after %s: %s", what, meshtest.Says(o))
		}
	}
	start := time.Now()
	b.Apply(t, generous())
	t.Logf("a change settled %s after the authority was back", time.Since(start).Round(time.Millisecond))
	b.Apply(t, meshtest.Friendly())
}
