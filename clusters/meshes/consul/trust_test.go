package consul

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

func TestEveryBadLeafIsRefusedForItsOwnReason(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	web := b.Workload(t, "web")
	now := time.Now()
	if o := b.Request(t, "outsider", b.direct(t, b.Leaf(t, identity.LeafRequest{Workload: web}))); !meshtest.Served(o) {
		t.Fatalf("control: %s", meshtest.Says(o))
	}
	for name, c := range map[string]struct {
		leaf          *attacker.KeyPair
		layer, reason string
	}{
		"expired":      {b.Leaf(t, identity.LeafRequest{Workload: web, NotAfter: now.Add(-time.Second)}), "tls", "certificate_expired"},
		"not yet":      {b.Leaf(t, identity.LeafRequest{Workload: web, NotBefore: now.Add(time.Minute)}), "tls", "certificate_not_yet_valid"},
		"forged":       {b.Leaf(t, identity.LeafRequest{Workload: web, Forged: true}), "tls", "unknown_ca"},
		"none":         {nil, "tls", "certificate_required"},
		"other domain": {b.Leaf(t, identity.LeafRequest{Workload: web, TrustDomain: "evil.example"}), "http", "rbac_access_denied_matched_policy[none]"},
		"other name":   {b.Leaf(t, identity.LeafRequest{Workload: b.Workload(t, "thief")}), "http", "rbac_access_denied_matched_policy[none]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.Request(t, "outsider", b.direct(t, c.leaf))
			if meshtest.Served(o) {
				t.Fatal("it was served")
			}
			b.Refusal(t, o, c.layer, c.reason)
		})
	}
}

// A stolen leaf is used from elsewhere, and its serial says whose it was.
func TestTheDeliveredLeafIsTheOneThatTheSidecarHas(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	for _, name := range []string{"web", "bank", "staging/web"} {
		pair, err := b.Authority(t).Delivered(limit(t), b.Workload(t, name))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := certificate(pair.Chain)
		if err != nil {
			t.Fatal(err)
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != b.Workload(t, name).ID() {
			t.Errorf("%s has %v, want %s", name, leaf.URIs, b.Workload(t, name).ID())
		}
		shown, err := b.sidecar(t, name).admin.serials(limit(t))
		if err != nil {
			t.Fatal(err)
		}
		if !shown[leaf.SerialNumber.Text(16)] {
			t.Errorf("%s has the leaves %v, delivered is %s", name, shown, leaf.SerialNumber.Text(16))
		}
	}
	_, err := b.Authority(t).Delivered(limit(t), b.Workload(t, "outsider"))
	meshtest.Wants(t, err, "outsider", "no sidecar")
}

// The community edition has no namespace in an identity.
func TestTheSameAccountInAnotherNamespaceIsTheSameIdentity(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	if a, z := b.Workload(t, "web").ID(), b.Workload(t, "staging/web").ID(); a != z {
		t.Errorf("%s and %s", a, z)
	}
	if o := b.Request(t, "staging/web", b.charge(t)); !meshtest.Served(o) {
		t.Error(meshtest.Says(o))
	}
	if o := b.Request(t, "lookalike", b.charge(t)); meshtest.Served(o) {
		t.Error("a near-identical name was served")
	}
}

func TestRotationsThatAreImpossibleAreErrors(t *testing.T) {
	b := shared(t)
	for _, what := range []identity.Rotation{identity.RotateLeaf, identity.RotateIssuer, identity.DropRoot, identity.StopRenewal} {
		_, err := b.Authority(t).Rotate(limit(t), what)
		meshtest.Wants(t, err, string(what), "an hour")
	}
}
