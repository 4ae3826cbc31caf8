package consul

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// paper is a range that exists only on paper.
func paper() clusters.Range {
	r := meshtest.Paper()
	for i := range r.Workloads {
		r.Workloads[i].VIP = netip.AddrFrom4([4]byte{240, 0, 0, byte(1 + i)})
	}
	return rename(r, "one.consul")
}

// bound asks for a token of web's own on its charges.
func bound() policy.Policy {
	p := friendly()
	p.Tokens = &policy.Tokens{Issuers: []string{"main", "other"}, Audience: "bank"}
	p.Allow[0].Token = &policy.Claim{Issuer: "main", Subject: "web"}
	return p
}

func changed(p policy.Policy, change func(*policy.Policy)) policy.Policy {
	p = p.Clone()
	change(&p)
	return p
}

func TestRenderIsTheGoldenFile(t *testing.T) {
	for name, p := range map[string]policy.Policy{
		"nothing":  {},
		"friendly": friendly(),
		"tokens":   bound(),
		"any issuer and subject": changed(bound(), func(p *policy.Policy) {
			p.Allow[0].Token = &policy.Claim{}
			p.Tokens.Audience = ""
		}),
		"optional token":   changed(bound(), func(p *policy.Policy) { p.Tokens.Optional = true }),
		"open":             {Open: true},
		"open but for one": changed(friendly(), func(p *policy.Policy) { p.Open = true }),
		"permissive":       {MTLS: policy.Permissive, Allow: []policy.Rule{{To: "bank"}}},
		"no addresses":     {Logging: policy.Logging{NoAddress: true}},
		"everyone and web": {Allow: []policy.Rule{
			{From: []string{"web"}, To: "bank", Methods: []string{"POST"}},
			{From: []string{policy.Anyone}, To: "bank", Paths: []string{"/v1/rates", "/v1/terms"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := Mesh{}.Render(paper(), p)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			for _, o := range objects {
				fmt.Fprintf(&out, "# %s %s\n%s\n", o.Kind, o.Name, o.Body)
			}
			meshtest.Golden(t, *update, "testdata", name, out.Bytes())
		})
	}
}

// What Consul has no words for is refused, and everything else is said.
func TestWhatConsulCannotSayIsRefusedAndNotLeftOut(t *testing.T) {
	unsaid := map[string]bool{
		"accept-any-trust-domain": true, "accept-expired-certificates": true, "keep-open-streams": true,
		"optional-client-certificate": true, "trust-forged-root": true,
		// Nothing is submitted to its platform.
		"admission-audit-only": true, "debug-for-workloads": true, "injector-fails-open": true, "injector-for-workloads": true,
		// Its servers fetch no keys.
		"fetch-from-private-addresses": true,
		// No request says how long, for whom, or in whose name.
		"believe-node-name": true, "debug-for-everybody": true, "lead-to-proxy-admin": true,
		"plaintext-xds": true, "policies-for-every-proxy": true, "view-for-workloads": true,
		"grant-long-lives": true, "trust-workload-as-node": true, "trust-forwarded-certificate": true,
	}
	r := paper()
	var err error
	if r.Issuers, err = identity.NewIssuers().Public(); err != nil {
		t.Fatal(err)
	}
	for _, w := range policy.Misconfigurations() {
		p, err := policy.Misconfigure(bound(), w.Name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Mesh{}.Render(r, p)
		if errors.Is(err, ErrUnsayable) != unsaid[w.Name] || err != nil && !unsaid[w.Name] {
			t.Errorf("%s: %v", w.Name, err)
		}
	}
	for _, p := range []policy.Policy{
		{Identity: policy.Lifetimes{Leaf: 1}},
		{Plaintext: []int{clusters.PortHTTP}},
	} {
		if _, err := (Mesh{}).Render(paper(), p); !errors.Is(err, ErrUnsayable) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestAPolicyThatNamesNobodyIsAnError(t *testing.T) {
	for _, p := range []policy.Policy{
		{Allow: []policy.Rule{{From: []string{"nobody"}, To: "bank"}}},
		{Allow: []policy.Rule{{To: "nobody"}}},
		{Tokens: &policy.Tokens{Issuers: []string{"nobody"}}},
		changed(bound(), func(p *policy.Policy) { p.Allow[0].Token.Subject = "nobody" }),
		changed(bound(), func(p *policy.Policy) { p.Allow[0].Token.Issuer = "nobody" }),
	} {
		if _, err := (Mesh{}).Render(paper(), p); err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// An upstream is known to a sidecar only where an intention lets it through.
func TestASidecarIsLedOnlyToWhatItMayCall(t *testing.T) {
	r := paper()
	bank, _ := r.Workload("bank")
	for name, c := range map[string]struct {
		policy policy.Policy
		from   string
		want   bool
	}{
		"allowed":            {friendly(), "web", true},
		"the same service":   {friendly(), "staging/web", true},
		"not named":          {friendly(), "lookalike", false},
		"everyone":           {policy.Policy{Allow: []policy.Rule{{To: "bank"}}}, "thief", true},
		"open":               {policy.Policy{Open: true}, "thief", true},
		"open, but for bank": {changed(friendly(), func(p *policy.Policy) { p.Open = true }), "lookalike", false},
		"nothing":            {policy.Policy{}, "web", false},
	} {
		entries, err := render(r, c.policy)
		if err != nil {
			t.Fatal(err)
		}
		from, _ := r.Workload(c.from)
		got := shapeOf(entries, c.policy, r, from)
		led := false
		for _, a := range got.upstreams {
			led = led || a == bank.VIP.String()
		}
		if led != c.want {
			t.Errorf("%s: %s is led to %v", name, c.from, got.upstreams)
		}
	}
}
