package istio

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// paper is a range that exists only on paper.
func paper() clusters.Range {
	r := meshtest.Paper()
	r.Issuers = map[string]clusters.Issuer{
		"main":  {URL: "https://main.test", JWKS: `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`, PEM: "(the public key)\n"},
		"other": {URL: "https://other.test", JWKS: `{"keys":[{"kty":"EC","crv":"P-256","kid":"o","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`, PEM: "(the public key)\n"},
	}
	for i, w := range r.Workloads {
		r.Workloads[i].Namespace = namespaceOf(r, w.Namespace)
	}
	return r
}

// bound lets web charge the bank with a token of its own.
func bound() policy.Policy {
	return policy.Policy{
		MTLS:   policy.Strict,
		Tokens: &policy.Tokens{Issuers: []string{"main", "other"}, Audience: "bank"},
		Allow: []policy.Rule{{
			From: []string{"web"}, To: "bank", Methods: []string{"POST"}, Paths: []string{"/v1/charge"},
			Ports: []int{clusters.PortHTTP}, Token: &policy.Claim{Issuer: "main", Subject: "web"},
		}},
	}
}

// papers are the policies that the golden files are of.
func papers(t *testing.T) map[string]policy.Policy {
	t.Helper()
	all := map[string]policy.Policy{"nothing": {}, "open": {Open: true}, "friendly": meshtest.Friendly(), "tokens": bound()}
	both := meshtest.Friendly()
	both.Allow = append(both.Allow, bound().Allow...)
	both.Tokens = bound().Tokens
	for _, w := range policy.Misconfigurations() {
		p, err := policy.Misconfigure(both, w.Name)
		if err != nil {
			t.Fatal(err)
		}
		all["misconfigured by "+w.Name] = p
	}
	return all
}

// What a misconfigured policy does not change is left out.
func TestRenderIsTheGoldenFile(t *testing.T) {
	both := papers(t)["misconfigured by no-policy-audit"]
	plain, err := Mesh{}.Render(paper(), both)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range papers(t) {
		t.Run(name, func(t *testing.T) {
			objects, err := Mesh{}.Render(paper(), p)
			var out bytes.Buffer
			if err != nil {
				fmt.Fprintln(&out, err)
			}
			for _, o := range objects {
				same := slices.ContainsFunc(plain, func(x meshes.Object) bool {
					return x.Name == o.Name && x.Kind == o.Kind && bytes.Equal(x.Body, o.Body)
				})
				if !same || !strings.HasPrefix(name, "misconfigured") {
					fmt.Fprintf(&out, "# %s %s\n%s", o.Kind, o.Name, o.Body)
				}
			}
			for _, x := range plain {
				if !slices.ContainsFunc(objects, func(o meshes.Object) bool { return x.Name == o.Name && x.Kind == o.Kind }) && strings.HasPrefix(name, "misconfigured") && err == nil {
					fmt.Fprintf(&out, "# no %s %s\n", x.Kind, x.Name)
				}
			}
			if out.Len() > 0 { // else it is none of Istio's objects that the mistake is made in
				meshtest.Golden(t, *update, "testdata/render", name, out.Bytes())
			}
		})
	}
}

// A change must be seen to have arrived, so no two rules may share a mark.
func TestEveryRuleHasAMarkOfItsOwn(t *testing.T) {
	r := paper()
	seen := map[string]string{}
	for name, p := range papers(t) {
		objects, err := render(r, p, "")
		if err != nil {
			continue
		}
		for _, w := range r.Workloads {
			mark := expectedOf(r, p, w, objects).ruleVersion
			if mark == "" {
				continue
			}
			if _, err := netip.ParseAddr(mark); err != nil {
				t.Errorf("%s: mark %q: %v", name, mark, err)
			}
			for _, o := range objects {
				if o.workload != w.Name || o.object["kind"] != "AuthorizationPolicy" {
					continue
				}
				body, err := json.Marshal(o.object["spec"])
				if err != nil {
					t.Fatal(err)
				}
				if before, ok := seen[mark]; ok && before != string(body) {
					t.Errorf("%s: mark %s is of\n%s\nand of\n%s", name, mark, before, body)
				}
				seen[mark] = string(body)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d ruleVersions: this test would hold nothing", len(seen))
	}
}

func TestASaltChangesEveryMarkAndNothingElse(t *testing.T) {
	r := paper()
	plain, err := render(r, meshtest.Friendly(), "")
	if err != nil {
		t.Fatal(err)
	}
	salted, err := render(r, meshtest.Friendly(), "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		a, b := expectedOf(r, meshtest.Friendly(), w, plain).ruleVersion, expectedOf(r, meshtest.Friendly(), w, salted).ruleVersion
		if a == b || a == "" {
			t.Errorf("%s: %s and %s", w.Name, a, b)
		}
	}
}
