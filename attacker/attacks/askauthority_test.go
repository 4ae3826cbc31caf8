package attacks_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

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

func authorities() []string {
	return []string{attackertest.ProtocolIstio, attackertest.ProtocolConsul}
}

func TestANaiveAuthorityGivesEverybodyAnything(t *testing.T) {
	s := newAskStage(t)
	n := attackertest.NaiveServer(t)
	call := attacks.Call{Request: charge, Port: n.Port}
	for _, protocol := range authorities() {
		a := attackertest.NaiveAuthority(t, s.ca, protocol, s.names())
		n.Target.Authority = &a.Endpoint
		for name, c := range map[string]struct {
			params   attacks.AskAuthority
			identity []string
			only     string
		}{
			"with nothing":          {attacks.AskAuthority{As: []string{"web"}}, []string{s.web}, ""},
			"with another's token":  {attacks.AskAuthority{As: []string{"web"}, Token: s.account("thief", s.thief, caAudience)}, []string{s.web}, ""},
			"for two at once":       {attacks.AskAuthority{As: []string{"thief", "web"}}, []string{s.thief, s.web}, attackertest.ProtocolIstio},
			"with a stolen leaf":    {attacks.AskAuthority{Leaf: &attacker.Leaf{Of: "web", Held: s.leaf(s.web)}}, []string{s.web}, ""},
			"for ten years":         {attacks.AskAuthority{As: []string{"web"}, Validity: attacker.Duration(87600 * time.Hour), AtLeast: attacker.Duration(2160 * time.Hour)}, []string{s.web}, attackertest.ProtocolIstio},
			"by impersonation":      {attacks.AskAuthority{As: []string{"thief"}, Impersonate: "web"}, []string{s.web}, attackertest.ProtocolIstio},
			"by a gateway's header": {attacks.AskAuthority{As: []string{"thief"}, Forwarded: "web"}, []string{s.web}, attackertest.ProtocolIstio},
		} {
			if c.only != "" && c.only != protocol {
				continue
			}
			t.Run(protocol+" "+name, func(t *testing.T) {
				c.params.Call = call
				o := only(t, attackertest.Run(t, attack(t, "ask-authority"), attackertest.Outside(t), n.Target, c.params))
				r := mustArrive(t, n, o)
				if strings.Join(r.Identity, " ") != strings.Join(c.identity, " ") {
					t.Errorf("the server believes %v instead of %v", r.Identity, c.identity)
				}
				if len(o.Related) == 0 || o.Related[0] == o.Local {
					t.Errorf("related %v from %s", o.Related, o.Local)
				}
			})
		}
	}
}

func TestAHardenedAuthorityGivesOnlyWhatIsOnesOwn(t *testing.T) {
	s := newAskStage(t)
	forged := attackertest.NewIssuer(t, s.issuer.URL)
	expired := s.account("web", s.web, caAudience)
	expired.Held = s.issuer.Token(attackertest.TokenSpec{Subject: s.web, Audience: caAudience, Expires: time.Now().Add(-time.Minute)})
	unsigned := s.account("web", s.web, caAudience)
	unsigned.Held = forged.Token(attackertest.TokenSpec{Subject: s.web, Audience: caAudience})
	const no = "request authenticate failure"
	for _, protocol := range authorities() {
		a := attackertest.HardenedAuthority(t, s.ca, protocol, s.names(), attackertest.AuthorityPolicy{Issuer: s.issuer, Audience: caAudience})
		target := s.hardened.Target
		target.Authority = &a.Endpoint
		for name, c := range map[string]struct {
			params attacks.AskAuthority
			want   attacker.Refusal
			only   string
		}{
			"one's own":             {attacks.AskAuthority{Token: s.account("web", s.web, caAudience)}, attacker.Refusal{}, ""},
			"with nothing":          {attacks.AskAuthority{As: []string{"web"}}, refusal(attacker.LayerCA, 16, no), ""},
			"with a stolen leaf":    {attacks.AskAuthority{Leaf: &attacker.Leaf{Of: "web", Held: s.leaf(s.web)}}, refusal(attacker.LayerCA, 16, no), ""},
			"another audience":      {attacks.AskAuthority{Token: s.account("web", s.web, "vault")}, refusal(attacker.LayerCA, 16, no), ""},
			"expired":               {attacks.AskAuthority{Token: expired}, refusal(attacker.LayerCA, 16, no), ""},
			"of another signer":     {attacks.AskAuthority{Token: unsigned}, refusal(attacker.LayerCA, 16, no), ""},
			"another's":             {attacks.AskAuthority{As: []string{"web"}, Token: s.account("thief", s.thief, caAudience)}, refusal(attacker.LayerCA, 7, "the request names another than the caller"), ""},
			"two":                   {attacks.AskAuthority{As: []string{"thief", "web"}, Token: s.account("thief", s.thief, caAudience)}, refusal(attacker.LayerCA, 7, "the request names another than the caller"), attackertest.ProtocolIstio},
			"ten years":             {attacks.AskAuthority{Token: s.account("web", s.web, caAudience), Validity: attacker.Duration(87600 * time.Hour)}, refusal(attacker.LayerCA, 3, "requested TTL is greater than the max allowed TTL"), attackertest.ProtocolIstio},
			"by impersonation":      {attacks.AskAuthority{Token: s.account("thief", s.thief, caAudience), Impersonate: "web"}, refusal(attacker.LayerCA, 16, "request impersonation authentication failure"), attackertest.ProtocolIstio},
			"by a gateway's header": {attacks.AskAuthority{Token: s.account("thief", s.thief, caAudience), Forwarded: "web"}, refusal(attacker.LayerCA, 16, "request impersonation authentication failure"), attackertest.ProtocolIstio},
			"of little worth":       {attacks.AskAuthority{Token: s.account("thief", s.thief, caAudience)}, refusal(attacker.LayerHTTP, 403, notAllowed), ""},
		} {
			if c.only != "" && c.only != protocol {
				continue
			}
			t.Run(protocol+" "+name, func(t *testing.T) {
				c.params.Call = s.call(charge)
				o := only(t, attackertest.Run(t, attack(t, "ask-authority"), attackertest.Outside(t), target, c.params))
				if c.want.Layer == "" {
					mustServe(t, o)
					return
				}
				if protocol == attackertest.ProtocolConsul && c.want.Layer == attacker.LayerCA {
					c.want.Code = 403 // Consul's is an HTTP API
				}
				mustRefuse(t, o, c.want)
				mustNotHaveServed(t, s.hardened, o)
			})
		}
		t.Run(protocol+" a life that is too short to want", func(t *testing.T) {
			o := only(t, attackertest.Run(t, attack(t, "ask-authority"), attackertest.Outside(t), target, attacks.AskAuthority{
				Call: s.call(charge), Token: s.account("web", s.web, caAudience), AtLeast: attacker.Duration(24 * time.Hour),
			}))
			if o.Refusal == nil || o.Refusal.Layer != attacker.LayerCA || !strings.HasPrefix(o.Refusal.Text, "issued "+s.web) {
				t.Errorf("%+v", o.Refusal)
			}
			mustNotHaveServed(t, s.hardened, o)
		})
	}
}

func TestASeriesOfAskingGoesOnUntilItIsStopped(t *testing.T) {
	s := newAskStage(t)
	a := attackertest.HardenedAuthority(t, s.ca, attackertest.ProtocolIstio, s.names(), attackertest.AuthorityPolicy{Issuer: s.issuer, Audience: caAudience})
	target := s.hardened.Target
	target.Authority = &a.Endpoint
	p := attacks.AskAuthority{Call: s.call(charge), Token: s.account("web", s.web, caAudience), Every: attacker.Duration(time.Millisecond)}
	r := attackertest.Start(t, attack(t, "ask-authority"), attackertest.Outside(t), target, p)
	r.Until("three leaves were used", served(3))
	s.hardened.Revoke(s.web)
	r.Until("one was refused", refused(1))
	r.Stop()
}

func TestAnAuthorityThatIsNotThereRefusesNobody(t *testing.T) {
	s := newAskStage(t)
	for _, protocol := range authorities() {
		target := s.hardened.Target
		target.Authority = &attacker.Authority{Protocol: protocol, Address: "127.0.0.1:1", Identities: s.names()}
		o := only(t, attackertest.Run(t, attack(t, "ask-authority"), attackertest.Outside(t), target, attacks.AskAuthority{As: []string{"web"}, Call: s.call(charge)}))
		mustRefuse(t, o, refusal(attacker.LayerTCP, 0, "refused"))
		// What is spoken there is not gRPC: nobody judged.
		target.Authority.Address = "127.0.0.1:" + strconv.Itoa(attackertest.NaiveServer(t).Port)
		o = only(t, attackertest.Run(t, attack(t, "ask-authority"), attackertest.Outside(t), target, attacks.AskAuthority{As: []string{"web"}, Call: s.call(charge)}))
		if o.Refusal == nil || o.Refusal.Layer == attacker.LayerCA {
			t.Errorf("%+v", o.Refusal)
		}
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
		return attack(t, "ask-authority").Try(t.Context(), attackertest.Outside(t), target, func() string { return "n" }, raw, func(attacker.Observation) {})
	}
	if err := try(attacks.AskAuthority{As: []string{"web"}}); err == nil || !strings.Contains(err.Error(), "no authority") {
		t.Error(err)
	}
	target.Authority = &attacker.Authority{Protocol: "x", Identities: s.names()}
	for _, p := range []attacks.AskAuthority{
		{}, {As: []string{"nobody"}}, {As: []string{"web"}, Impersonate: "nobody"}, {As: []string{"web"}}, {Leaf: &attacker.Leaf{Of: "web"}},
		{Token: &attacker.Token{Of: "web"}}, {As: []string{"web"}, For: 1}, {As: []string{"web"}, Validity: -1}, {Leaf: &attacker.Leaf{}, As: []string{"web"}},
	} {
		if err := try(p); err == nil {
			t.Errorf("no error for %+v", p)
		}
	}
}
