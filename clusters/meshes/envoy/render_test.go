package envoy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden files hold the bank's objects, and web's where they differ in kind.
func TestRenderIsTheGoldenFile(t *testing.T) {
	all := meshtest.Policies()
	all["friendly"], all["tokens"] = meshtest.Friendly(), bound()
	optional := bound()
	optional.Tokens.Optional, optional.Tokens.IgnoreExpiry, optional.Tokens.Audience = true, true, ""
	all["optional tokens"] = optional
	trusting := meshtest.Friendly()
	trusting.Trust = policy.Trust{AcceptExpired: true, AnyTrustDomain: true, ExtraRoots: []string{"forged"}}
	all["trusting"] = trusting
	uncertified := meshtest.Friendly()
	uncertified.Trust.OptionalCertificate = true
	all["optional certificate"] = uncertified
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			objects, err := Mesh{}.Render(meshtest.Paper(), p)
			if err != nil {
				t.Fatal(err)
			}
			// Whole for one policy; for the others what a policy changes.
			meshtest.Golden(t, *update, "testdata/render", name, text(objects, name == "friendly"))
		})
	}
}

func text(objects []meshes.Object, whole bool) []byte {
	var out bytes.Buffer
	for _, o := range objects {
		if o.Workload != "bank" || !whole && (o.Kind == "Cluster" || o.Name == listenerOutbound) {
			continue
		}
		body := o.Body
		if o.Kind == "Listener" && !whole {
			body = outline(body)
		}
		fmt.Fprintf(&out, "# %s %s %s\n%s\n", o.Workload, o.Kind, o.Name, bytes.TrimSpace(body))
	}
	return out.Bytes()
}

// outline is what tells filter chains apart.
func outline(listener []byte) []byte {
	var l struct {
		Chains []struct {
			Name  string          `json:"name"`
			Match json.RawMessage `json:"filter_chain_match"`
		} `json:"filter_chains"`
	}
	if err := json.Unmarshal(listener, &l); err != nil {
		return []byte(err.Error())
	}
	var out bytes.Buffer
	for _, c := range l.Chains {
		var match bytes.Buffer
		if err := json.Compact(&match, c.Match); err != nil {
			return []byte(err.Error())
		}
		fmt.Fprintf(&out, "%s %s\n", c.Name, match.String())
	}
	return out.Bytes()
}

func TestRenderSaysTheSameTwiceAndNeverALeaf(t *testing.T) {
	for name, p := range meshtest.Policies() {
		first, err := Mesh{}.Render(meshtest.Paper(), p)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Mesh{}.Render(meshtest.Paper(), p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range first {
			if !bytes.Equal(first[i].Body, second[i].Body) {
				t.Errorf("%s: %s %s differs", name, first[i].Kind, first[i].Name)
			}
			if bytes.Contains(first[i].Body, []byte("private_key")) {
				t.Errorf("%s: %s %s has a private key", name, first[i].Kind, first[i].Name)
			}
		}
	}
}

// Chains of one name must be the same chain in every policy, or a replaced one
// would not be noticed.
func TestChainsOfOneNameAreTheSameChain(t *testing.T) {
	seen := map[string][]byte{}
	all := meshtest.Policies()
	all["friendly"] = meshtest.Friendly()
	for _, trust := range []policy.Trust{{}, {OptionalCertificate: true}, {AcceptExpired: true}} {
		for name, p := range all {
			p.Trust = trust
			w, err := meshtest.Paper().Workload("bank")
			if err != nil {
				t.Fatal(err)
			}
			b := builder{r: meshtest.Paper(), p: p, w: w}
			for _, c := range append(b.inbound().GetFilterChains(), b.outbound().GetFilterChains()...) {
				body, err := stable(c)
				if err != nil {
					t.Fatal(err)
				}
				if old, ok := seen[c.GetName()]; ok && !bytes.Equal(old, body) {
					t.Errorf("%s under %s has another content", c.GetName(), name)
				}
				seen[c.GetName()] = body
			}
		}
	}
}
