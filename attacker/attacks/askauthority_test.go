package attacks_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

const caAudience = "istio-ca"

func (s stage) names() map[string]string { return map[string]string{"web": s.web, "thief": s.thief} }

// account is a token that the platform gave to an account.
func (s stage) account(of, subject, audience string) *attacker.Token {
	return &attacker.Token{Of: of, Kind: "account", Held: s.issuer.Token(attackertest.TokenSpec{Subject: subject, Audience: audience})}
}

// newAskStage is a bank that wants no token: those are for the authority.
func newAskStage(t *testing.T) stage {
	s := newStage(t, false)
	s.issuer = attackertest.NewIssuer(t, "https://platform.issuer.test")
	return s
}

// A protocol of no mesh, and identities in either form: an attack takes the one
// and the other from the list of its probe.
func TestAskAuthorityTakesItsProtocolAndTheFormOfIdentitiesAsTheyCome(t *testing.T) {
	for name, dns := range map[string]bool{"URI": false, "DNS": true} {
		t.Run(name, func(t *testing.T) {
			attackertest.Wire{Protocol: attackertest.Protocol{}, Speak: attackertest.SpeakToy, DNS: dns}.Prove(t)
		})
	}
}

func TestAskingThatCannotBeMadeIsAnError(t *testing.T) {
	s := newAskStage(t)
	target := s.hardened.Target
	try := func(p attacks.AskAuthority) error {
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		f := attackertest.Outside(t)
		f.Protocols = []attacker.AuthorityProtocol{attackertest.Protocol{}}
		return attack(t, "ask-authority").Try(t.Context(), f, target, func() string { return "n" }, raw, func(attacker.Observation) {})
	}
	if err := try(attacks.AskAuthority{As: []string{"web"}}); err == nil || !strings.Contains(err.Error(), "no certificate authority") {
		t.Error(err)
	}
	target.Authority, target.Identities = &attacker.Authority{Protocol: "x"}, s.names()
	if err := try(attacks.AskAuthority{As: []string{"web"}}); err == nil || !strings.Contains(err.Error(), `does not speak "x"`) || !strings.Contains(err.Error(), "it speaks toy") {
		t.Error(err)
	}
	target.Authority.Protocol = attackertest.Protocol{}.Name()
	if err := try(attacks.AskAuthority{}); err == nil || !strings.Contains(err.Error(), "neither a token nor a leaf") {
		t.Error(err)
	}
	for _, p := range []attacks.AskAuthority{
		{As: []string{"nobody"}}, {As: []string{"web"}, Impersonate: "nobody"}, {Leaf: &attacker.Leaf{Of: "web"}},
		{Token: &attacker.Token{Of: "web"}}, {As: []string{"web"}, For: 1}, {As: []string{"web"}, Validity: -1}, {Leaf: &attacker.Leaf{}, As: []string{"web"}},
	} {
		if err := try(p); err == nil {
			t.Errorf("no error for %+v", p)
		}
	}
}
