package attacks_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// issuer is a submission that says where keys are: at the target, by way of the
// workload web where it is to be led there.
func issuer(by string) attacks.SubmitIssuer {
	return attacks.SubmitIssuer{
		Submission: attacks.Submission{Token: &attacker.Token{Of: "web", Held: "held"}},
		Keys:       "http://[::ffff:{bank.address}]:8080/keys", By: by,
	}
}

// tenants is the protocol of a mesh in which a workload's owner may name issuers.
type tenants struct{ attackertest.Protocol }

func (tenants) IssuerObject(q attacker.TokenIssuer) (path string, object map[string]any) {
	return "/namespaces/" + q.Namespace + "/issuers", map[string]any{
		"metadata": map[string]any{"name": q.Name}, "spec": map[string]any{"keys": q.Keys, "for": q.Workload},
	}
}

// tenant is a foothold of whom that protocol is known.
func tenant(t *testing.T) attacker.Foothold {
	t.Helper()
	f := attackertest.Outside(t)
	f.Protocols = []attacker.AuthorityProtocol{tenants{}}
	return f
}

// named is where the keys are, in the object that a platform was sent.
func named(t *testing.T, object map[string]any) *url.URL {
	t.Helper()
	spec, _ := object["spec"].(map[string]any)
	if spec["for"] != "web-0" {
		t.Errorf("it is for %v", spec["for"])
	}
	text, _ := spec["keys"].(string)
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAnIssuerStaysUntilTheAttemptIsStoppedAndNotLonger(t *testing.T) {
	for _, by := range []string{"", "http://{web.address}:8081/lead"} {
		var sent map[string]any
		p := &platform{alter: func(o map[string]any) { sent = o }}
		target := p.target(t)
		target.Address = "10.0.0.9"
		r := attackertest.Start(t, attack(t, "submit-issuer"), tenant(t), target, issuer(by))
		r.Until("it was answered", func(seen []attacker.Observation) bool { return len(seen) == 1 })
		p.mu.Lock()
		if len(p.pods) != 1 || len(p.seen) != 1 {
			t.Errorf("there are %v, asked was %q", p.pods, p.seen)
		}
		p.mu.Unlock()
		o := only(t, r.Stop())
		mustHold(t, o, "web/object")
		if len(p.pods) != 0 || !strings.HasSuffix(p.seen[len(p.seen)-1], " meshbreach/tidy") {
			t.Errorf("left: %v; asked was %q", p.pods, p.seen)
		}
		at := named(t, sent)
		if by != "" {
			if at.Host != "10.0.0.1:8081" || at.Query().Get("nonce") != o.Nonce {
				t.Errorf("led by %s", at)
			}
			led, err := url.Parse(at.Query().Get("to"))
			if err != nil {
				t.Fatal(err)
			}
			at = led
		}
		if at.Host != "[::ffff:10.0.0.9]:8080" || at.Path != "/keys" || at.Query().Get("nonce") != o.Nonce {
			t.Errorf("the keys are at %s", at)
		}
	}
}

func TestAnIssuerThatIsRefusedEndsByItself(t *testing.T) {
	p := &platform{refuse: true}
	target := p.target(t)
	target.Address = "10.0.0.9"
	o := only(t, attackertest.Run(t, attack(t, "submit-issuer"), tenant(t), target, issuer("")))
	mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, "not yours"))
	if len(p.seen) != 1 {
		t.Errorf("asked %q", p.seen)
	}
}
