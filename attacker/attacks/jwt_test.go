package attacks_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

func genuine(t testing.TB) (*attackertest.Issuer, string) {
	t.Helper()
	i := attackertest.NewIssuer(t, "https://main.issuer.test")
	return i, i.Token(attackertest.TokenSpec{Subject: "spiffe://r1.meshbreach.test/ns/prod/sa/web", Audience: audience})
}

func forge(t *testing.T, i *attackertest.Issuer, token string, spec attacker.Token) string {
	t.Helper()
	forged, err := attacks.Forge(token, spec, i.PublicPEM())
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// part is the header (0) or the claims (1) of a token.
func part(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// believes says whether a verifier with this mistake takes the token.
func believes(t *testing.T, token string, key any, alg jose.SignatureAlgorithm) bool {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		return false
	}
	return parsed.Claims(key, new(jwt.Claims)) == nil
}

func TestATokenWithNothingToForgeStaysAsItIs(t *testing.T) {
	i, token := genuine(t)
	for _, spec := range []attacker.Token{
		{},
		{Key: "issuer", Issuer: "other", Audience: "shop", Kid: "key-9", Expires: 1, Starts: 1},
		{Tamper: map[string]any{"iss": i.URL}},
		{Header: map[string]any{"typ": "JWT"}},
	} {
		if got := forge(t, i, token, spec); got != token {
			t.Errorf("%+v changed the token", spec)
		}
	}
}

func TestAnUnsignedTokenSaysSoInTheWishedLetters(t *testing.T) {
	i, token := genuine(t)
	for _, alg := range []string{"none", "None", "nOnE"} {
		got := forge(t, i, token, attacker.Token{Alg: alg, Tamper: map[string]any{"sub": "thief"}})
		if !strings.HasSuffix(got, ".") || strings.Count(got, ".") != 2 {
			t.Error("there is a signature")
		}
		if part(t, got, 0)["alg"] != alg || part(t, got, 0)["kid"] != i.Kid || part(t, got, 1)["sub"] != "thief" {
			t.Errorf("header %v, subject %v", part(t, got, 0), part(t, got, 1)["sub"])
		}
	}
}

func TestATokenSignedWithThePublicKeyFoolsWhoTakesItForASecret(t *testing.T) {
	i, token := genuine(t)
	got := forge(t, i, token, attacker.Token{Key: "public-as-hmac"})
	if !believes(t, got, []byte(i.PublicPEM()), jose.HS256) {
		t.Error("a verifier with the published HMAC key does not believe it")
	}
	if believes(t, got, i.JWKS(), jose.RS256) {
		t.Error("a right verifier believes it")
	}
	if part(t, got, 0)["kid"] != i.Kid {
		t.Error("the key id is not the issuer's, so the key would not be found")
	}
}

func TestATokenThatBringsItsKeyFoolsWhoTakesIt(t *testing.T) {
	i, token := genuine(t)
	got := forge(t, i, token, attacker.Token{Header: map[string]any{"jwk": "attacker"}, Tamper: map[string]any{"sub": "thief"}})
	raw, err := json.Marshal(part(t, got, 0)["jwk"])
	if err != nil {
		t.Fatal(err)
	}
	var brought jose.JSONWebKey
	if err := json.Unmarshal(raw, &brought); err != nil {
		t.Fatal(err)
	}
	if !brought.IsPublic() {
		t.Error("the token brings a private key")
	}
	if !believes(t, got, brought, jose.RS256) {
		t.Error("a verifier that takes the key from the header does not believe it")
	}
	if believes(t, got, i.JWKS(), jose.RS256) {
		t.Error("a right verifier believes it")
	}
}

func TestAKeyPlaceIsTheAttackersUnlessItIsAURL(t *testing.T) {
	i, token := genuine(t)
	for _, name := range []string{"jku", "x5u"} {
		got := part(t, forge(t, i, token, attacker.Token{Header: map[string]any{name: "attacker"}}), 0)[name]
		if s, _ := got.(string); !strings.HasPrefix(s, "https://keys.attacker.test/") {
			t.Errorf("%s is %v", name, got)
		}
		const own = "http://10.77.1.15:8080/keys"
		if got := part(t, forge(t, i, token, attacker.Token{Header: map[string]any{name: own}}), 0)[name]; got != own {
			t.Errorf("%s is %v instead of %s", name, got, own)
		}
	}
}

func TestTheAttackersKeySignsTheGenuineClaims(t *testing.T) {
	i, token := genuine(t)
	got := forge(t, i, token, attacker.Token{Key: "attacker", Kid: "key-9"})
	if strings.Split(got, ".")[1] != strings.Split(token, ".")[1] {
		t.Error("the claims changed")
	}
	if h := part(t, got, 0); h["alg"] != "RS256" || h["kid"] != "key-9" {
		t.Errorf("header %v", h)
	}
	if believes(t, got, i.JWKS(), jose.RS256) {
		t.Error("a right verifier believes it")
	}
}

func TestATamperedTokenKeepsItsSignature(t *testing.T) {
	i, token := genuine(t)
	for _, spec := range []attacker.Token{
		{Tamper: map[string]any{"sub": "thief"}},
		{Header: map[string]any{"kid": "key-9"}},
	} {
		got := forge(t, i, token, spec)
		was, is := strings.Split(token, "."), strings.Split(got, ".")
		if is[2] != was[2] {
			t.Error("the signature changed")
		}
		if spec.Tamper != nil && (is[0] != was[0] || part(t, got, 1)["sub"] != "thief" || part(t, got, 1)["iss"] != i.URL) {
			t.Errorf("claims %v", part(t, got, 1))
		}
		if spec.Header != nil && (is[1] != was[1] || part(t, got, 0)["kid"] != "key-9") {
			t.Errorf("header %v", part(t, got, 0))
		}
		if believes(t, got, i.JWKS(), jose.RS256) {
			t.Error("a right verifier believes it")
		}
	}
}

func TestAForgeryThatCannotBeMadeIsAnErrorWithoutTheToken(t *testing.T) {
	_, token := genuine(t)
	for _, c := range []struct {
		token, pem string
		spec       attacker.Token
		want       string
	}{
		{token, "", attacker.Token{Key: "public-as-hmac"}, "public key is not held"},
		{token, "x", attacker.Token{Key: "public-as-hmac", Header: map[string]any{"jwk": "attacker"}}, "no key to bring along"},
		{token, "", attacker.Token{Key: "mine"}, `key "mine" is none of issuer, attacker, public-as-hmac`},
		{token, "", attacker.Token{Alg: "HS512"}, "alg can only be none"},
		{token, "", attacker.Token{Alg: "none", Key: "attacker"}, "alg none has no key"},
		{"not.a-token", "", attacker.Token{Alg: "none"}, "three parts"},
		{"e30.bm90LWpzb24tYXQtYWxs.c2ln", "", attacker.Token{Alg: "none"}, "claims: not a JSON object"},
		{"W10.e30.c2ln", "", attacker.Token{Alg: "none"}, "header: not a JSON object"},
		{"!!!!!!!!.e30.c2ln", "", attacker.Token{Alg: "none"}, "header is not base64url"},
	} {
		_, err := attacks.Forge(c.token, c.spec, c.pem)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v instead of %q", c.spec, err, c.want)
			continue
		}
		for _, p := range strings.Split(c.token, ".") {
			if len(p) > 4 && strings.Contains(err.Error(), p) {
				t.Errorf("the error tells the token: %v", err)
			}
		}
	}
}

// Tokens are foreign input: a real issuer's, or a leaked one from anywhere.
func FuzzForge(f *testing.F) {
	i := attackertest.NewIssuer(f, "https://main.issuer.test")
	token, public := i.Token(attackertest.TokenSpec{Subject: "web", Audience: audience}), i.PublicPEM()
	for _, head := range []string{`{}`, `{"b64":false,"crit":["b64"]}`, `{"jwk":{"kty":"oct"}}`, `{"kid":7,"alg":null}`} {
		f.Add(token, "", "public-as-hmac", "", head, `{"exp":1e400}`)
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(head))+".e30.c2ln", "none", "", "k", `{"typ":1}`, `{}`)
		f.Add(token, "", "", "", head, `{"sub":"thief"}`)
	}
	f.Add("..", "None", "", "", `{}`, `{}`)
	f.Fuzz(func(t *testing.T, token, alg, key, kid, header, tamper string) {
		spec := attacker.Token{Alg: alg, Key: key, Kid: kid}
		_ = json.Unmarshal([]byte(header), &spec.Header)
		_ = json.Unmarshal([]byte(tamper), &spec.Tamper)
		// A fresh RSA key each time would leave no time to try anything else.
		if spec.Key == "attacker" {
			spec.Key = "public-as-hmac"
		}
		for _, brought := range []string{"jwk", "jku", "x5u"} {
			if spec.Key == "" {
				delete(spec.Header, brought)
			}
		}
		got, err := attacks.Forge(token, spec, public)
		if err != nil {
			if len(token) > 40 && strings.Contains(err.Error(), token) {
				t.Errorf("the error tells the token: %v", err)
			}
			return
		}
		if got != token && strings.Count(got, ".") != 2 {
			t.Errorf("%d parts", strings.Count(got, ".")+1)
		}
	})
}
