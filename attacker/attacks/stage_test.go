package attacks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

const (
	charge   = attacks.Request("POST /v1/charge")
	audience = "bank"
)

// A stage is a hardened bank that web alone may charge, with web's token.
type stage struct {
	ca       *attackertest.CA
	issuer   *attackertest.Issuer
	web      string
	thief    string
	hardened *attackertest.Hardened
}

func newStage(t *testing.T, withTokens bool) stage {
	t.Helper()
	ca := attackertest.NewCA(t, "r1.meshbreach.test")
	s := stage{ca: ca, web: ca.ID("prod", "web"), thief: ca.ID("prod", "thief")}
	p := attackertest.Policy{Allow: []attackertest.Rule{
		{Identity: s.web, Methods: []string{"POST"}, Paths: []string{"/v1/charge"}},
	}}
	if withTokens {
		s.issuer = attackertest.NewIssuer(t, "https://main.issuer.test")
		p.Issuer, p.Audience = s.issuer, audience
	}
	s.hardened = attackertest.HardenedServer(t, ca, p)
	return s
}

func (s stage) leaf(ids ...string) *attacker.KeyPair {
	return s.ca.Leaf(attackertest.LeafSpec{URIs: ids})
}

// call is a request at the hardened server.
func (s stage) call(r attacks.Request) attacks.Call {
	return attacks.Call{Request: r, Port: s.hardened.Port}
}

// token is a genuine token of web, with what the attacker is to make of it.
func (s stage) token(spec attacker.Token) attacker.Token {
	spec.Of = "web"
	spec.Held = s.issuer.Token(attackertest.TokenSpec{Subject: s.web, Audience: audience})
	spec.PublicPEM = s.issuer.PublicPEM()
	return spec
}

func attack(t testing.TB, name string) attacker.Attack {
	t.Helper()
	all := attacks.Catalog()
	i := slices.IndexFunc(all, func(a attacker.Attack) bool { return a.Name() == name })
	if i < 0 {
		t.Fatalf("the catalogue has no %s", name)
	}
	return all[i]
}

// only is the one observation of an attempt.
func only(t *testing.T, seen []attacker.Observation) attacker.Observation {
	t.Helper()
	if len(seen) != 1 {
		t.Fatalf("%d observations instead of one", len(seen))
	}
	if o := seen[0]; o.Start.IsZero() || o.End.Before(o.Start) || time.Since(o.End) > time.Minute {
		t.Errorf("observation with impossible times: %v to %v", o.Start, o.End)
	}
	return seen[0]
}

// mustServe and mustRefuse say what the attacker has to see.
func mustServe(t *testing.T, o attacker.Observation) {
	t.Helper()
	if o.Refusal != nil || o.Reply == nil || o.Seen != attacker.Replied {
		t.Errorf("not served: seen %s, refusal %+v", o.Seen, o.Refusal)
	}
}

func mustRefuse(t *testing.T, o attacker.Observation, want attacker.Refusal) {
	t.Helper()
	switch {
	case o.Refusal == nil:
		t.Errorf("not refused: %+v", o.Reply)
	case o.Refusal.Layer != want.Layer || o.Refusal.Code != want.Code || o.Refusal.Text != want.Text:
		t.Errorf("refused as %+v instead of %+v", *o.Refusal, want)
	}
}

func mustNotHaveServed(t *testing.T, h *attackertest.Hardened, o attacker.Observation) {
	t.Helper()
	if slices.Contains(h.Served(), o.Nonce) {
		t.Error("the hardened server let it through")
	}
}
