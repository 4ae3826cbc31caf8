package attackertest

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// A Wire is a mesh's authority protocol and a server that speaks it.
type Wire struct {
	Protocol attacker.AuthorityProtocol
	Speak    Speaker
	DNS      bool // identities are DNS names and not URIs
	Plain    bool // the protocol names one identity and has no word for anything else
}

// proofRequest is what a leaf is used for.
const proofRequest = attacks.Request("POST /v1/charge")

// A bench is what the proof stands on: an authority's tokens, and who is who.
type bench struct {
	Wire
	ca         *CA
	issuer     *Issuer
	web, thief string
	ask        attacker.Attack
}

func (w Wire) bench(t *testing.T) bench {
	t.Helper()
	b := bench{Wire: w, ca: NewCA(t, "r1.meshbreach.test"), issuer: NewIssuer(t, "https://platform.issuer.test")}
	b.web, b.thief = b.ca.ID("prod", "web"), b.ca.ID("prod", "thief")
	if w.DNS {
		b.web, b.thief = b.ca.DNS("prod", "web"), b.ca.DNS("prod", "thief")
	}
	all := attacks.Catalog()
	b.ask = all[slices.IndexFunc(all, func(a attacker.Attack) bool { return a.Name() == "ask-authority" })]
	return b
}

func (b bench) names() map[string]string { return map[string]string{"web": b.web, "thief": b.thief} }

// foothold speaks the protocol.
func (b bench) foothold(t testing.TB) attacker.Foothold {
	f := Outside(t)
	f.Protocols = []attacker.AuthorityProtocol{b.Protocol}
	return f
}

// token is one of an account, for the authority.
func (b bench) token(of, subject string, spec TokenSpec) *attacker.Token {
	spec.Subject = subject
	if spec.Audience == "" {
		spec.Audience = b.audience()
	}
	return &attacker.Token{Of: of, Kind: "account", Held: b.issuer.Token(spec)}
}

// audience is what the authority wants; of the platform's own any text will do.
func (b bench) audience() string {
	if a := b.Protocol.TokenAudience(); a != "" {
		return a
	}
	return "platform"
}

// A proof is one way to ask.
type proof struct {
	name   string
	params attacks.AskAuthority
	wishes bool     // it asks for what a plain protocol has no word for
	gets   []string // from a naive authority: the identities that a server believes then
	layer  attacker.Layer
	text   string // from a hardened authority; with layer, why it was refused
}

func (b bench) proofs() []proof {
	const no, ca = "request authenticate failure", attacker.LayerCA
	web := []string{"web"}
	years := attacker.Duration(87600 * time.Hour)
	forged := *b.token("web", b.web, TokenSpec{})
	forged.Held = NewIssuer(b.ca.t, b.issuer.URL).Token(TokenSpec{Subject: b.web, Audience: b.audience()})
	own := b.token("thief", b.thief, TokenSpec{})
	leaf := &attacker.Leaf{Of: "web", Held: b.ca.Leaf(For(b.web))}
	return []proof{
		{"one's own", attacks.AskAuthority{Token: b.token("web", b.web, TokenSpec{})}, false, []string{b.web}, "", ""},
		{"with nothing", attacks.AskAuthority{As: web}, false, []string{b.web}, ca, no},
		{"with a stolen leaf", attacks.AskAuthority{Leaf: leaf}, false, []string{b.web}, ca, no},
		{"another audience", attacks.AskAuthority{Token: b.token("web", b.web, TokenSpec{Audience: "vault"})}, false, []string{b.web}, ca, no},
		{"expired", attacks.AskAuthority{Token: b.token("web", b.web, TokenSpec{Expires: time.Now().Add(-time.Minute)})}, false, []string{b.web}, ca, no},
		{"of another signer", attacks.AskAuthority{Token: &forged}, false, []string{b.web}, ca, no},
		{"another's", attacks.AskAuthority{As: web, Token: own}, false, []string{b.web}, ca, "the request names another than the caller"},
		{"two at once", attacks.AskAuthority{As: []string{"thief", "web"}, Token: own}, true, []string{b.thief, b.web}, ca, "the request names another than the caller"},
		{"ten years", attacks.AskAuthority{Token: b.token("web", b.web, TokenSpec{}), Validity: years, AtLeast: years / 2}, true, []string{b.web}, ca, "requested TTL is greater than the max allowed TTL"},
		{"by impersonation", attacks.AskAuthority{Token: own, Impersonate: "web"}, true, []string{b.web}, ca, "request impersonation authentication failure"},
		{"by a gateway's header", attacks.AskAuthority{Token: own, Forwarded: "web"}, true, []string{b.web}, ca, "request impersonation authentication failure"},
		{"of little worth", attacks.AskAuthority{Token: own}, false, []string{b.thief}, attacker.LayerHTTP, "identity, method or path not allowed"},
	}
}

// Prove shows that the attack ask-authority beats a naive authority by this
// protocol and is stopped by a hardened one, and that nobody has refused where
// no authority is. A mesh's wire package calls it in its tests.
func (w Wire) Prove(t *testing.T) {
	t.Helper()
	b := w.bench(t)
	for _, c := range b.proofs() {
		if c.wishes && w.Plain {
			continue
		}
		t.Run("a naive authority gives "+c.name, func(t *testing.T) { b.wins(t, c) })
		t.Run("a hardened authority is asked "+c.name, func(t *testing.T) { b.isStopped(t, c) })
	}
	t.Run("a life too short to want is not used", b.shortLife)
	t.Run("nobody refuses where no authority is", b.nobodyThere)
	t.Run("a leaf is asked for until the attempt is stopped", b.series)
}

// wins: a server believes whom the leaf names.
func (b bench) wins(t *testing.T, c proof) {
	bank := NaiveServer(t)
	a := NaiveAuthority(t, b.ca, b.Speak, b.names())
	c.params.Call = attacks.Call{Request: proofRequest, Port: bank.Port}
	o := b.once(t, a.Known(bank.Target), c.params)
	r, ok := bank.Receipt(o.Nonce)
	if !ok || o.Refusal != nil || !slices.Equal(r.Identity, c.gets) {
		t.Errorf("arrived: %t; the server believes %v instead of %v; refusal %+v", ok, r.Identity, c.gets, o.Refusal)
	}
	if len(o.Related) == 0 || o.Related[0] == o.Local {
		t.Errorf("related connections %v from %s", o.Related, o.Local)
	}
}

// hardened is a bank that web alone may charge, and its authority.
func (b bench) hardened(t *testing.T) (*Hardened, attacker.Target) {
	t.Helper()
	bank := HardenedServer(t, b.ca, Policy{Allow: []Rule{{Identity: b.web, Methods: []string{"POST"}, Paths: []string{"/v1/charge"}}}})
	a := HardenedAuthority(t, b.ca, b.Speak, b.names(), AuthorityPolicy{Issuer: b.issuer, Audience: b.audience()})
	return bank, a.Known(bank.Target)
}

func (b bench) isStopped(t *testing.T, c proof) {
	bank, target := b.hardened(t)
	c.params.Call = attacks.Call{Request: proofRequest, Port: bank.Port}
	o := b.once(t, target, c.params)
	served := slices.Contains(bank.Served(), o.Nonce)
	switch r := o.Refusal; {
	case c.layer == "" && (r != nil || !served):
		t.Errorf("not served: %+v", r)
	case c.layer != "" && (r == nil || served || r.Layer != c.layer || r.Text != c.text):
		t.Errorf("served: %t; refusal %+v instead of %s %q", served, r, c.layer, c.text)
	}
}

func (b bench) shortLife(t *testing.T) {
	bank, target := b.hardened(t)
	o := b.once(t, target, attacks.AskAuthority{
		Call: attacks.Call{Request: proofRequest, Port: bank.Port}, Token: b.token("web", b.web, TokenSpec{}), AtLeast: attacker.Duration(24 * time.Hour),
	})
	if o.Refusal == nil || o.Refusal.Layer != attacker.LayerCA || !strings.HasPrefix(o.Refusal.Text, "issued "+b.web+" until ") {
		t.Errorf("%+v", o.Refusal)
	}
	if len(bank.Served()) > 0 {
		t.Error("the leaf was used")
	}
}

func (b bench) nobodyThere(t *testing.T) {
	bank := NaiveServer(t)
	target := bank.Target
	target.Identities = b.names()
	target.Authority = &attacker.Authority{Protocol: b.Protocol.Name(), Address: "127.0.0.1:1"}
	params := attacks.AskAuthority{As: []string{"web"}, Call: attacks.Call{Request: proofRequest, Port: bank.Port}}
	if r := b.once(t, target, params).Refusal; r == nil || r.Layer != attacker.LayerTCP || r.Text != "refused" {
		t.Errorf("%+v", r)
	}
	// A server is there that is no authority: nobody judged.
	target.Authority.Address = net.JoinHostPort(bank.Target.Address, strconv.Itoa(bank.Port))
	if r := b.once(t, target, params).Refusal; r == nil || r.Layer == attacker.LayerCA {
		t.Errorf("%+v", r)
	}
}

func (b bench) series(t *testing.T) {
	bank, target := b.hardened(t)
	r := Start(t, b.ask, b.foothold(t), target, attacks.AskAuthority{
		Call: attacks.Call{Request: proofRequest, Port: bank.Port}, Token: b.token("web", b.web, TokenSpec{}), Every: attacker.Duration(time.Millisecond),
	})
	r.Until("three leaves were used", func(seen []attacker.Observation) bool { return len(seen) >= 3 && seen[2].Refusal == nil })
	bank.Revoke(b.web)
	r.Until("one was refused", func(seen []attacker.Observation) bool { return seen[len(seen)-1].Refusal != nil })
	r.Stop()
}

// once makes one attempt, which sees one thing.
func (b bench) once(t *testing.T, target attacker.Target, params attacks.AskAuthority) attacker.Observation {
	t.Helper()
	seen := Run(t, b.ask, b.foothold(t), target, params)
	if len(seen) != 1 {
		t.Fatalf("%d observations instead of one", len(seen))
	}
	return seen[0]
}
