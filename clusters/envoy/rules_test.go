package envoy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
)

const denied = "rbac_access_denied_matched_policy[none]"

func TestAFriendIsServedAndBothSidecarsSaySo(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	web := b.workload(t, "web")
	o := b.knock(t, "web", b.charge(t))
	if !served(o) {
		t.Fatal(says(o))
	}
	in := b.evidence(t, "bank", o)
	if in.Refused || !in.Upstream || in.Status != 200 || in.Method != "POST" || in.Path != "/v1/charge" || in.Layer != "http" {
		t.Errorf("bank's sidecar says %+v", in)
	}
	if !slices.Equal(in.Identity, []string{web.ID()}) || in.Serial == "" || in.Source.Addr() != web.Address {
		t.Errorf("bank's sidecar does not say that it was web: %+v", in)
	}
	if out := b.evidence(t, "web", o); out.Refused || out.Source != o.Local {
		t.Errorf("web's sidecar says %+v", out)
	}
}

func TestTheRulesRefuseAtTheTarget(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	other := func(change func(*attacker.Knock)) attacker.Knock {
		k := b.charge(t)
		change(&k)
		return k
	}
	admin := netip.AddrPortFrom(b.workload(t, "bank").Address, clusters.PortAdmin).String()
	for name, c := range map[string]struct {
		from string
		k    attacker.Knock
	}{
		"another identity":    {"thief", b.charge(t)},
		"another namespace":   {"staging/web", b.charge(t)},
		"a longer name":       {"lookalike", b.charge(t)},
		"another method":      {"web", other(func(k *attacker.Knock) { k.Method = "GET" })},
		"another path":        {"web", other(func(k *attacker.Knock) { k.Path = "/v1/refund" })},
		"a path above":        {"web", other(func(k *attacker.Knock) { k.Path = "/v1/charge/../refund" })},
		"an escaped path":     {"web", other(func(k *attacker.Knock) { k.Path = "/v1/charge%2f..%2frefund" })},
		"HTTP/2":              {"thief", other(func(k *attacker.Knock) { k.Protocol = "http2" })},
		"a stream":            {"thief", other(func(k *attacker.Knock) { k.Protocol, k.Connection = "http2-stream", nonce() })},
		"an undeclared port":  {"thief", other(func(k *attacker.Knock) { k.Address = admin })},
		"a claimed identity":  {"thief", other(func(k *attacker.Knock) { k.Headers = xfcc(b.workload(t, "web")) })},
		"a claimed address":   {"thief", other(func(k *attacker.Knock) { k.Headers = map[string][]string{"X-Forwarded-For": {"10.77.1.10"}} })},
		"a raw leaf of thief": {"outsider", other(func(k *attacker.Knock) { k.TLS = b.as(t, "thief") })},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.knock(t, c.from, c.k)
			expect(t, o, "http 403 RBAC: access denied envoy@bank")
			if s := b.refusal(t, o, "http", denied); s.Status != 403 || s.Source.Addr() != b.workload(t, c.from).Address {
				t.Errorf("bank's sidecar says %+v", s)
			}
		})
	}
}

func xfcc(w clusters.Workload) map[string][]string {
	return map[string][]string{"X-Forwarded-Client-Cert": {"URI=" + w.ID()}}
}

func (b *bed) as(t testing.TB, name string) *attacker.TLS {
	return &attacker.TLS{Leaf: b.leaf(t, clusters.LeafRequest{Workload: b.workload(t, name)})}
}

func TestOpaqueTCPIsJudgedByIdentity(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	if o := b.knock(t, "web", b.line(t, clusters.PortTCP, "")); !served(o) {
		t.Error(says(o))
	}
	o := b.knock(t, "thief", b.line(t, clusters.PortTCP, ""))
	expect(t, o, "tcp 0 closed")
	b.refusal(t, o, "tcp", denied)
	// The rule is for the other port.
	o = b.knock(t, "web", b.line(t, clusters.PortOpaque, ""))
	expect(t, o, "tcp 0 closed")
	b.refusal(t, o, "tcp", denied)
}

func TestPlaintextFindsNoChainWhereMutualTLSIsStrict(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	for name, k := range map[string]attacker.Knock{"http": b.charge(t), "tcp": b.line(t, clusters.PortTCP, "")} {
		t.Run(name, func(t *testing.T) {
			o := b.knock(t, "outsider", k)
			expect(t, o, "tcp 0 reset")
			if s := b.refusal(t, o, "tcp", noChain); s.Source != o.Local {
				t.Errorf("the signal is of %s, the attempt of %s", s.Source, o.Local)
			}
		})
	}
}

func TestAPlaintextPortIsOpenToAll(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	health := b.charge(t)
	health.Address = netip.AddrPortFrom(b.workload(t, "bank").Address, clusters.PortHealth).String()
	for _, from := range []string{"web", "thief", "outsider"} {
		if o := b.knock(t, from, health); !served(o) {
			t.Errorf("%s: %s", from, says(o))
		}
	}
	b.apply(t, clusters.Policy{})
	for from, want := range map[string]string{
		"outsider": "tcp 0 reset",
		"thief":    "http 403 RBAC: access denied envoy@bank",
	} {
		expect(t, b.knock(t, from, health), want)
	}
}

// The neutral policy has an evaluator; the mesh must agree with it.
func TestTheMeshAdmitsWhatThePolicyAdmits(t *testing.T) {
	b := shared(t)
	for name, p := range policies() {
		b.apply(t, p)
		for _, from := range []string{"web", "staging/web", "outsider"} {
			for _, path := range []string{"/v1/charge", "/v1/refund"} {
				for _, port := range []int{clusters.PortHTTP, clusters.PortAdmin} {
					k := b.charge(t)
					k.Path = path
					k.Address = netip.AddrPortFrom(b.workload(t, "bank").Address, uint16(port)).String()
					w := b.workload(t, from)
					q := clusters.Request{To: "bank", Method: "POST", Path: path, Port: port, Withmesh: w.Meshed, Account: w.Account}
					if w.Meshed {
						q.From = from
					}
					want, o := p.Admits(b.r(), q), b.knock(t, from, k)
					if served(o) != want {
						t.Errorf("%s: %s to %s on %d: the policy says %v, the mesh %s", name, from, path, port, want, says(o))
					}
				}
			}
		}
	}
}

func policies() map[string]clusters.Policy {
	rule := clusters.Rule{From: []string{"web"}, To: "bank"}
	with := func(change func(*clusters.Policy, *clusters.Rule)) clusters.Policy {
		p, r := clusters.Policy{}, rule
		change(&p, &r)
		p.Allow = append(p.Allow, r)
		return p
	}
	return map[string]clusters.Policy{
		"nothing":       {},
		"open":          {Open: true},
		"rule":          with(func(*clusters.Policy, *clusters.Rule) {}),
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

func TestATargetThatDoesNotListenIsNotARefusalByARule(t *testing.T) {
	b := shared(t)
	p := friendly()
	p.Allow = []clusters.Rule{{From: []string{"web"}, To: "bank"}}
	b.apply(t, p)
	k := b.charge(t)
	k.Address = netip.AddrPortFrom(b.workload(t, "bank").Address, 7777).String()
	o := b.knock(t, "web", k)
	if o.Refusal == nil || o.Refusal.Code != 503 {
		t.Fatal(says(o))
	}
	b.refusal(t, o, "http", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}")
}

// What the caller's own sidecar refuses is told by that one.
func TestAMethodThatIsNoneIsRefusedByTheCallersOwnSidecar(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	k := b.charge(t)
	k.Method = "post"
	o := b.knock(t, "web", k)
	expect(t, o, "http 400 Bad Request envoy@web")
	if s := b.evidence(t, "web", o); !s.Refused || s.Inbound || s.Reason != "http1.codec_error" {
		t.Errorf("web's sidecar says %+v", s)
	}
}
