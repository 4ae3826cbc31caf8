package consul

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
)

func TestEveryBadLeafIsRefusedForItsOwnReason(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	web := b.workload(t, "web")
	now := time.Now()
	if o := b.knock(t, "outsider", b.direct(t, b.leaf(t, clusters.LeafRequest{Workload: web}))); !served(o) {
		t.Fatalf("control: %s", says(o))
	}
	for name, c := range map[string]struct {
		leaf          *attacker.KeyPair
		layer, reason string
	}{
		"expired":      {b.leaf(t, clusters.LeafRequest{Workload: web, NotAfter: now.Add(-time.Second)}), "tls", "certificate_expired"},
		"not yet":      {b.leaf(t, clusters.LeafRequest{Workload: web, NotBefore: now.Add(time.Minute)}), "tls", "certificate_not_yet_valid"},
		"forged":       {b.leaf(t, clusters.LeafRequest{Workload: web, Forged: true}), "tls", "unknown_ca"},
		"none":         {nil, "tls", "certificate_required"},
		"other domain": {b.leaf(t, clusters.LeafRequest{Workload: web, TrustDomain: "evil.example"}), "http", "rbac_access_denied_matched_policy[none]"},
		"other name":   {b.leaf(t, clusters.LeafRequest{Workload: b.workload(t, "thief")}), "http", "rbac_access_denied_matched_policy[none]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.knock(t, "outsider", b.direct(t, c.leaf))
			if served(o) {
				t.Fatal("it was served")
			}
			b.refusal(t, o, c.layer, c.reason)
		})
	}
}

// A stolen leaf is used from elsewhere, and its serial says whose it was.
func TestTheDeliveredLeafIsTheOneThatTheSidecarHas(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	for _, name := range []string{"web", "bank", "staging/web"} {
		pair, err := b.mesh.Authority(b.r()).Delivered(limit(t), b.workload(t, name))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := certificate(pair.Chain)
		if err != nil {
			t.Fatal(err)
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != b.workload(t, name).ID() {
			t.Errorf("%s has %v, want %s", name, leaf.URIs, b.workload(t, name).ID())
		}
		shown, err := b.sidecar(t, name).admin.serials(limit(t))
		if err != nil {
			t.Fatal(err)
		}
		if !shown[leaf.SerialNumber.Text(16)] {
			t.Errorf("%s has the leaves %v, delivered is %s", name, shown, leaf.SerialNumber.Text(16))
		}
	}
	_, err := b.mesh.Authority(b.r()).Delivered(limit(t), b.workload(t, "outsider"))
	wants(t, err, "outsider", "no sidecar")
}

func (b *bed) sidecar(t testing.TB, name string) *sidecar {
	t.Helper()
	for _, s := range b.mesh.stages[b.r().Name].sidecars {
		if s.workload.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no sidecar", name)
	return nil
}

// The community edition has no namespace in an identity.
func TestTheSameAccountInAnotherNamespaceIsTheSameIdentity(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	if a, z := b.workload(t, "web").ID(), b.workload(t, "staging/web").ID(); a != z {
		t.Errorf("%s and %s", a, z)
	}
	if o := b.knock(t, "staging/web", b.charge(t)); !served(o) {
		t.Error(says(o))
	}
	if o := b.knock(t, "lookalike", b.charge(t)); served(o) {
		t.Error("a near-identical name was served")
	}
}

func TestRotationsThatAreImpossibleAreErrors(t *testing.T) {
	b := shared(t)
	for _, what := range []clusters.Rotation{clusters.RotateLeaf, clusters.RotateIssuer, clusters.DropRoot, clusters.StopRenewal} {
		_, err := b.mesh.Authority(b.r()).Rotate(limit(t), what)
		wants(t, err, string(what), "an hour")
	}
}
