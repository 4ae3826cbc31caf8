package envoy

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

const denied = "rbac_access_denied_matched_policy[none]"

func TestAFriendIsServedAndBothSidecarsSaySo(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	web := b.Workload(t, "web")
	o := b.Request(t, "web", b.charge(t))
	if !meshtest.Served(o) {
		t.Fatal(meshtest.Says(o))
	}
	in := b.Evidence(t, "bank", o)
	if in.Refused || !in.Upstream || in.Status != 200 || in.Method != "POST" || in.Path != "/v1/charge" || in.Layer != "http" {
		t.Errorf("bank's sidecar says %+v", in)
	}
	if !slices.Equal(in.Identity, []string{web.ID()}) || in.Serial == "" || in.Source.Addr() != web.Address {
		t.Errorf("bank's sidecar does not say that it was web: %+v", in)
	}
	if out := b.Evidence(t, "web", o); out.Refused || out.Source != o.Local {
		t.Errorf("web's sidecar says %+v", out)
	}
}

func TestTheRulesRefuseAtTheTarget(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	other := func(change func(*attacker.Request)) attacker.Request {
		k := b.charge(t)
		change(&k)
		return k
	}
	admin := netip.AddrPortFrom(b.Workload(t, "bank").Address, clusters.PortAdmin).String()
	for name, c := range map[string]struct {
		from string
		k    attacker.Request
	}{
		"another identity":    {"thief", b.charge(t)},
		"another namespace":   {"staging/web", b.charge(t)},
		"a longer name":       {"lookalike", b.charge(t)},
		"another method":      {"web", other(func(k *attacker.Request) { k.Method = "GET" })},
		"another path":        {"web", other(func(k *attacker.Request) { k.Path = "/v1/refund" })},
		"a path above":        {"web", other(func(k *attacker.Request) { k.Path = "/v1/charge/../refund" })},
		"an escaped path":     {"web", other(func(k *attacker.Request) { k.Path = "/v1/charge%2f..%2frefund" })},
		"HTTP/2":              {"thief", other(func(k *attacker.Request) { k.Protocol = "http2" })},
		"a stream":            {"thief", other(func(k *attacker.Request) { k.Protocol, k.Connection = "http2-stream", meshtest.Nonce() })},
		"an undeclared port":  {"thief", other(func(k *attacker.Request) { k.Address = admin })},
		"a claimed identity":  {"thief", other(func(k *attacker.Request) { k.Headers = xfcc(b.Workload(t, "web")) })},
		"a claimed address":   {"thief", other(func(k *attacker.Request) { k.Headers = map[string][]string{"X-Forwarded-For": {"10.77.1.10"}} })},
		"a raw leaf of thief": {"outsider", other(func(k *attacker.Request) { k.TLS = b.as(t, "thief") })},
	} {
		t.Run(name, func(t *testing.T) {
			o := b.Request(t, c.from, c.k)
			expect(t, o, "http 403 RBAC: access denied envoy@bank")
			if s := b.Refusal(t, o, "http", denied); s.Status != 403 || s.Source.Addr() != b.Workload(t, c.from).Address {
				t.Errorf("bank's sidecar says %+v", s)
			}
		})
	}
}

func xfcc(w clusters.Workload) map[string][]string {
	return map[string][]string{"X-Forwarded-Client-Cert": {"URI=" + w.ID()}}
}

func (b *bed) as(t testing.TB, name string) *attacker.TLS {
	return &attacker.TLS{Leaf: b.Leaf(t, identity.LeafRequest{Workload: b.Workload(t, name)})}
}

func TestOpaqueTCPIsJudgedByIdentity(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	if o := b.Request(t, "web", b.line(t, clusters.PortTCP, "")); !meshtest.Served(o) {
		t.Error(meshtest.Says(o))
	}
	o := b.Request(t, "thief", b.line(t, clusters.PortTCP, ""))
	expect(t, o, "tcp 0 closed")
	b.Refusal(t, o, "tcp", denied)
	// The rule is for the other port.
	o = b.Request(t, "web", b.line(t, clusters.PortOpaque, ""))
	expect(t, o, "tcp 0 closed")
	b.Refusal(t, o, "tcp", denied)
}

func TestPlaintextFindsNoChainWhereMutualTLSIsStrict(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	for name, k := range map[string]attacker.Request{"http": b.charge(t), "tcp": b.line(t, clusters.PortTCP, "")} {
		t.Run(name, func(t *testing.T) {
			o := b.Request(t, "outsider", k)
			expect(t, o, "tcp 0 reset")
			if s := b.Refusal(t, o, "tcp", noChain); s.Source != o.Local {
				t.Errorf("the signal is of %s, the attempt of %s", s.Source, o.Local)
			}
		})
	}
}

func TestAPlaintextPortIsOpenToAll(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	health := b.charge(t)
	health.Address = netip.AddrPortFrom(b.Workload(t, "bank").Address, clusters.PortHealth).String()
	for _, from := range []string{"web", "thief", "outsider"} {
		if o := b.Request(t, from, health); !meshtest.Served(o) {
			t.Errorf("%s: %s", from, meshtest.Says(o))
		}
	}
	b.Apply(t, policy.Policy{})
	for from, want := range map[string]string{
		"outsider": "tcp 0 reset",
		"thief":    "http 403 RBAC: access denied envoy@bank",
	} {
		expect(t, b.Request(t, from, health), want)
	}
}

func TestTheMeshAdmitsWhatThePolicyAdmits(t *testing.T) {
	shared(t).AdmitsWhatThePolicyAdmits(t, meshtest.Policies())
}

func TestATargetThatDoesNotListenIsNotARefusalByARule(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Allow = []policy.Rule{{From: []string{"web"}, To: "bank"}}
	b.Apply(t, p)
	k := b.charge(t)
	k.Address = netip.AddrPortFrom(b.Workload(t, "bank").Address, 7777).String()
	o := b.Request(t, "web", k)
	if o.Refusal == nil || o.Refusal.Code != 503 {
		t.Fatal(meshtest.Says(o))
	}
	b.Refusal(t, o, "http", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}")
}

// What the caller's own sidecar refuses is told by that one.
func TestAMethodThatIsNoneIsRefusedByTheCallersOwnSidecar(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	k := b.charge(t)
	k.Method = "post"
	o := b.Request(t, "web", k)
	expect(t, o, "http 400 Bad Request envoy@web")
	if s := b.Evidence(t, "web", o); !s.Refused || s.Inbound || s.Reason != "http1.codec_error" {
		t.Errorf("web's sidecar says %+v", s)
	}
}
