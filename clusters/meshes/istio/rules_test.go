package istio

import (
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestOnlyTheFriendIsServed(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	for from, want := range map[string]struct{ says, layer, reason string }{
		"web":      {"served 200", "http", ""},
		"thief":    {"http 403 RBAC: access denied envoy", "http", "rbac_access_denied_matched_policy[none]"},
		"outsider": {"tcp 0 reset", "tcp", "filter_chain_not_found"},
	} {
		o := b.Request(t, from, b.Charge(t, from))
		if meshtest.Says(o) != want.says {
			t.Errorf("%s: %q, want %q", from, meshtest.Says(o), want.says)
		}
		if s := b.Evidence(t, "bank", o); s.Refused != (want.reason != "") || s.Layer != want.layer || s.Reason != want.reason {
			t.Errorf("%s: bank's sidecar says %+v", from, s)
		}
	}
}

func TestTheMeshAdmitsWhatThePolicyAdmits(t *testing.T) {
	shared(t).AdmitsWhatThePolicyAdmits(t, meshtest.Policies())
}

// Past its service a workload is spoken to in the clear, and does not listen.
func TestAPortThatNoServiceDeclaresIsNoWayIn(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Allow = []policy.Rule{{From: []string{"web"}, To: "bank"}}
	b.Apply(t, p)
	k := b.Charge(t, "web")
	k.Address = netip.AddrPortFrom(b.Workload(t, "bank").Address, 7777).String()
	o := b.Request(t, "web", k)
	if o.Refusal == nil || o.Reply != nil {
		t.Errorf("%s", meshtest.Says(o))
	}
	if s := b.Evidence(t, "bank", o); s.Reason != "filter_chain_not_found" {
		t.Errorf("bank's sidecar says %+v", s)
	}
}
