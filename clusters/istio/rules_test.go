package istio

import (
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
)

func TestOnlyTheFriendIsServed(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	for from, want := range map[string]struct{ says, layer, reason string }{
		"web":      {"served 200", "http", ""},
		"thief":    {"http 403 RBAC: access denied envoy", "http", "rbac_access_denied_matched_policy[none]"},
		"outsider": {"tcp 0 reset", "tcp", "filter_chain_not_found"},
	} {
		o := b.knock(t, from, b.charge(t, from))
		if says(o) != want.says {
			t.Errorf("%s: %q, want %q", from, says(o), want.says)
		}
		if s := b.evidence(t, "bank", o); s.Refused != (want.reason != "") || s.Layer != want.layer || s.Reason != want.reason {
			t.Errorf("%s: bank's sidecar says %+v", from, s)
		}
	}
}

// policies are the ways in which a rule can be wide or narrow.
func policies() map[string]clusters.Policy {
	with := func(change func(*clusters.Policy, *clusters.Rule)) clusters.Policy {
		p, r := clusters.Policy{}, clusters.Rule{From: []string{"web"}, To: "bank"}
		change(&p, &r)
		p.Allow = append(p.Allow, r)
		return p
	}
	return map[string]clusters.Policy{
		"nothing":       {},
		"open":          {Open: true},
		"open and rule": with(func(p *clusters.Policy, _ *clusters.Rule) { p.Open = true }),
		"path":          with(func(_ *clusters.Policy, r *clusters.Rule) { r.Paths = []string{"/v1/charge"} }),
		"port":          with(func(_ *clusters.Policy, r *clusters.Rule) { r.Ports = []int{clusters.PortHTTP} }),
		"account only":  with(func(_ *clusters.Policy, r *clusters.Rule) { r.AccountOnly = true }),
		"any principal": with(func(_ *clusters.Policy, r *clusters.Rule) { r.From = []string{clusters.Anyone} }),
		"anybody":       with(func(_ *clusters.Policy, r *clusters.Rule) { r.From = nil }),
		"permissive":    with(func(p *clusters.Policy, _ *clusters.Rule) { p.MTLS = clusters.Permissive }),
		"permissive anybody": with(func(p *clusters.Policy, r *clusters.Rule) {
			p.MTLS, r.From = clusters.Permissive, nil
		}),
		"permissive any principal": with(func(p *clusters.Policy, r *clusters.Rule) {
			p.MTLS, r.From = clusters.Permissive, []string{clusters.Anyone}
		}),
		"plaintext port": with(func(p *clusters.Policy, _ *clusters.Rule) { p.Plaintext = []int{clusters.PortHTTP} }),
	}
}

func TestTheMeshAdmitsWhatThePolicyAdmits(t *testing.T) {
	b := shared(t)
	for name, p := range policies() {
		b.apply(t, p)
		for _, from := range []string{"web", "staging/web", "outsider"} {
			for _, path := range []string{"/v1/charge", "/v1/refund"} {
				for _, port := range []int{clusters.PortHTTP, clusters.PortAdmin} {
					k, w := b.charge(t, from), b.workload(t, from)
					k.Path = path
					k.Address = netip.AddrPortFrom(b.workload(t, "bank").Reached(w), uint16(port)).String()
					q := clusters.Request{To: "bank", Method: "POST", Path: path, Port: port, Withmesh: w.Meshed, Account: w.Account}
					if w.Meshed {
						q.From = from
					}
					want, o := p.Admits(b.r(), q), b.knock(t, from, k)
					if (says(o) == "served 200") != want {
						t.Errorf("%s: %s to %s on %d: the policy says %v, the mesh %s", name, from, path, port, want, says(o))
					}
				}
			}
		}
	}
}

// Past its service a workload is spoken to in the clear, and does not listen.
func TestAPortThatNoServiceDeclaresIsNoWayIn(t *testing.T) {
	b := shared(t)
	p := friendly()
	p.Allow = []clusters.Rule{{From: []string{"web"}, To: "bank"}}
	b.apply(t, p)
	k := b.charge(t, "web")
	k.Address = netip.AddrPortFrom(b.workload(t, "bank").Address, 7777).String()
	o := b.knock(t, "web", k)
	if o.Refusal == nil || o.Reply != nil {
		t.Errorf("%s", says(o))
	}
	if s := b.evidence(t, "bank", o); s.Reason != "filter_chain_not_found" {
		t.Errorf("bank's sidecar says %+v", s)
	}
}
