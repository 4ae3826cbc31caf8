package none_test

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/none"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func stage(name string) clusters.Range {
	r := clusters.Range{Name: name, TrustDomain: name + ".test"}
	for _, m := range clusters.Cast() {
		r.Workloads = append(r.Workloads, clusters.Workload{
			Name: m.Name, Range: name, TrustDomain: r.TrustDomain, Namespace: m.Namespace, Account: m.Account, Meshed: m.Meshed,
		})
	}
	return r
}

func install(t *testing.T) (*clusters.Cluster, meshes.Installed) {
	t.Helper()
	c := &clusters.Cluster{Ranges: []clusters.Range{stage("r1"), stage("r2")}, Undo: &clusters.Undo{}}
	in, err := none.Mesh{}.Install(t.Context(), c, meshes.Release{})
	if err != nil {
		t.Fatal(err)
	}
	return c, in
}

func authority(t *testing.T, in meshes.Installed, r clusters.Range) identity.Authority {
	t.Helper()
	a, err := in.Authority(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func delivered(t *testing.T, in meshes.Installed, r clusters.Range, name string) identity.KeyPair {
	t.Helper()
	w, err := r.Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority(t, in, r).Delivered(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func lifetime(t *testing.T, pair identity.KeyPair) time.Duration {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return time.Until(cert.Leaf.NotAfter)
}

func TestInstallingGivesEveryRangeItsOwnRootAndTheIssuers(t *testing.T) {
	c, _ := install(t)
	one, two := c.Ranges[0], c.Ranges[1]
	for _, r := range c.Ranges {
		for _, name := range []string{"mesh", "forged"} {
			if r.Roots[name] == "" {
				t.Errorf("%s has no root %q", r.Name, name)
			}
		}
		for _, name := range []string{"main", "other"} {
			if r.Issuers[name].JWKS == "" {
				t.Errorf("%s has no issuer %q", r.Name, name)
			}
		}
	}
	if one.Roots["mesh"] == two.Roots["mesh"] {
		t.Error("two ranges have one root")
	}
}

func TestAPolicyIsTakenAndSettledAtOnceAndLeavesNoTrace(t *testing.T) {
	c, in := install(t)
	r := c.Ranges[0]
	first, err := in.Apply(t.Context(), r, policy.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := in.Apply(t.Context(), r, policy.Policy{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	if first.ID == second.ID || first.Asked.IsZero() {
		t.Errorf("revisions %+v and %+v", first, second)
	}
	if err := in.Settled(t.Context(), r, second); err != nil {
		t.Error(err)
	}
	if signals, err := in.Evidence(t.Context(), r, signals.Query{Nonces: []string{"n"}}); err != nil || len(signals) > 0 {
		t.Errorf("signals %v, %v", signals, err)
	}
	if objects, err := (none.Mesh{}).Render(r, policy.Policy{}); err != nil || len(objects) > 0 {
		t.Errorf("objects %v, %v", objects, err)
	}
	if _, err := in.Apply(t.Context(), stage("r9"), policy.Policy{}); err == nil {
		t.Error("a range that it was not installed in took a policy")
	}
	if a, err := in.Authority(stage("r9")); a != nil || err == nil {
		t.Errorf("a range that it was not installed in has an authority: %v, %v", a, err)
	}
}

func TestMeshedWorkloadsHaveLeavesToCopyAndOthersHaveNone(t *testing.T) {
	c, in := install(t)
	for _, w := range c.Ranges[0].Workloads {
		_, err := authority(t, in, c.Ranges[0]).Delivered(t.Context(), w)
		if (err == nil) != w.Meshed {
			t.Errorf("%s, meshed %t: %v", w.Name, w.Meshed, err)
		}
	}
}

func TestLeavesFollowRotationsAndThePolicysLifetime(t *testing.T) {
	c, in := install(t)
	r := c.Ranges[0]
	old := delivered(t, in, r, "web")
	if _, err := authority(t, in, r).Rotate(t.Context(), identity.RotateLeaf); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(old.Chain, delivered(t, in, r, "web").Chain) {
		t.Error("a rotation left the old leaf")
	}
	if _, err := authority(t, in, r).Rotate(t.Context(), identity.DropRoot); err == nil {
		t.Error("the only root was dropped")
	}
	if got := lifetime(t, delivered(t, in, r, "web")); got < 50*time.Minute {
		t.Errorf("lives %s, want an hour", got)
	}
	if _, err := in.Apply(t.Context(), r, policy.Policy{Identity: policy.Lifetimes{Leaf: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	if got := lifetime(t, delivered(t, in, r, "web")); got > time.Minute {
		t.Errorf("lives %s, want a minute at most", got)
	}
}

func TestAStoppedAuthorityLeavesLeavesAsTheyAre(t *testing.T) {
	c, in := install(t)
	r := c.Ranges[0]
	old := delivered(t, in, r, "web")
	if _, err := authority(t, in, r).Rotate(t.Context(), identity.StopRenewal); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Apply(t.Context(), r, policy.Policy{Identity: policy.Lifetimes{Leaf: time.Minute}}); err != nil {
		t.Error(err)
	}
	if _, err := authority(t, in, r).Rotate(t.Context(), identity.RotateLeaf); err == nil {
		t.Error("a stopped authority gave out leaves")
	}
	if !bytes.Equal(old.Chain, delivered(t, in, r, "web").Chain) {
		t.Error("the leaf changed")
	}
}
