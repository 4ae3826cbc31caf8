package envoy

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// bound demands web's leaf and a token of web's.
func bound() policy.Policy {
	p := meshtest.Friendly()
	p.Allow[0].Token = &policy.Claim{Issuer: "main", Subject: "web"}
	p.Tokens = &policy.Tokens{Issuers: []string{"main", "other"}, Audience: "bank"}
	return p
}

func (b *bed) bearing(t testing.TB, token string) attacker.Request {
	k := b.charge(t)
	k.Headers = map[string][]string{"Authorization": {"Bearer " + token}}
	return k
}

func (b *bed) token(t testing.TB, q identity.TokenRequest) string {
	t.Helper()
	if q.Subject.Name == "" {
		q.Subject = b.Workload(t, "web")
	}
	token, err := b.Authority(t).Token(limit(t), q)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

type badToken struct{ from, token, want, reason string }

func (b *bed) badTokens(t testing.TB) map[string]badToken {
	now := time.Now()
	good := b.token(t, identity.TokenRequest{})
	return map[string]badToken{
		"good": {"web", good, "served 200", ""},
		"another's identity": {
			"thief", good, "http 403 RBAC: access denied envoy@bank", denied,
		},
		"another's token": {
			"web", b.token(t, identity.TokenRequest{Subject: b.Workload(t, "thief")}),
			"http 403 RBAC: access denied envoy@bank", denied,
		},
		"another trusted issuer": {
			"web", b.token(t, identity.TokenRequest{Issuer: "other"}),
			"http 403 RBAC: access denied envoy@bank", denied,
		},
		"expired": {
			"web", b.token(t, identity.TokenRequest{Expires: now.Add(-5 * time.Second)}),
			"http 401 Jwt is expired envoy@bank", "jwt_authn_access_denied{Jwt_is_expired}",
		},
		"not yet valid": {
			"web", b.token(t, identity.TokenRequest{Starts: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)}),
			"http 401 Jwt not yet valid envoy@bank", "jwt_authn_access_denied{Jwt_not_yet_valid}",
		},
		"audience": {
			"web", b.token(t, identity.TokenRequest{Audience: "vault"}),
			"http 403 Audiences in Jwt are not allowed envoy@bank", "jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}",
		},
		"unknown issuer": {
			"web", b.token(t, identity.TokenRequest{Issuer: "https://evil.test"}),
			"http 401 Jwt issuer is not configured envoy@bank", "jwt_authn_access_denied{Jwt_issuer_is_not_configured}",
		},
		"unknown kid": {
			"web", b.token(t, identity.TokenRequest{Kid: "nobody's"}),
			"http 401 Jwks doesn't have key to match kid or alg from Jwt envoy@bank",
			"jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}",
		},
		"keyed with the public key": {
			"web", b.confused(t), "http 401 Jwks doesn't have key to match kid or alg from Jwt envoy@bank",
			"jwt_authn_access_denied{Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt}",
		},
		"garbage": {
			"web", "a.b.c", "http 401 Jwt header is an invalid Base64url encoded envoy@bank",
			"jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}",
		},
	}
}

func TestATokenIsRefusedForItsOwnReason(t *testing.T) {
	b := shared(t)
	b.Apply(t, bound())
	for name, c := range b.badTokens(t) {
		t.Run(name, func(t *testing.T) {
			o := b.Request(t, c.from, b.bearing(t, c.token))
			expect(t, o, c.want)
			if c.reason != "" {
				b.Refusal(t, o, "http", c.reason)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		o := b.Request(t, "web", b.charge(t))
		expect(t, o, "http 403 RBAC: access denied envoy@bank")
		b.Refusal(t, o, "http", denied)
	})
}

// confused is a token signed by HMAC with the issuer's public key as the
// secret, as somebody makes it who knows nothing else.
func (b *bed) confused(t testing.TB) string {
	t.Helper()
	issuer := b.Range().Issuers["main"]
	genuine, err := jwt.ParseSigned(b.token(t, identity.TokenRequest{}), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := genuine.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.HS256,
		Key:       jose.JSONWebKey{Key: []byte(issuer.PEM), KeyID: genuine.Headers[0].KeyID},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestEveryWeakTokenPolicyOpensWhatItIsNamedFor(t *testing.T) {
	b := shared(t)
	now := time.Now()
	for name, c := range map[string]struct {
		misconfigure func(*policy.Policy)
		token        string
	}{
		"expiry":    {func(p *policy.Policy) { p.Tokens.IgnoreExpiry = true }, b.token(t, identity.TokenRequest{Expires: now.Add(-time.Hour), Starts: now.Add(-2 * time.Hour)})},
		"audience":  {func(p *policy.Policy) { p.Tokens.Audience = "" }, b.token(t, identity.TokenRequest{Audience: "vault"})},
		"issuer":    {func(p *policy.Policy) { p.Allow[0].Token.Issuer = "" }, b.token(t, identity.TokenRequest{Issuer: "other"})},
		"subject":   {func(p *policy.Policy) { p.Allow[0].Token.Subject = "" }, b.token(t, identity.TokenRequest{Subject: b.Workload(t, "thief")})},
		"optional":  {func(p *policy.Policy) { p.Tokens.Optional = true }, "a.b.c"},
		"hmac":      {func(p *policy.Policy) { p.Tokens.PublishHMACKey = true }, b.confused(t)},
		"no check":  {func(p *policy.Policy) { p.Tokens, p.Allow[0].Token = nil, nil }, "a.b.c"},
		"elsewhere": {func(p *policy.Policy) { p.Tokens.At, p.Allow[0].Token = []string{"web"}, nil }, "a.b.c"},
	} {
		t.Run(name, func(t *testing.T) {
			b.Apply(t, bound())
			if o := b.Request(t, "web", b.bearing(t, c.token)); meshtest.Served(o) {
				t.Fatal("it is served without the misconfiguration")
			}
			p := bound()
			c.misconfigure(&p)
			b.Apply(t, p)
			if o := b.Request(t, "web", b.bearing(t, c.token)); !meshtest.Served(o) {
				t.Errorf("it is not served with the misconfiguration: %s", meshtest.Says(o))
			}
		})
	}
}

// A rule that needs a token where nobody verifies any admits nobody.
func TestATokenThatNobodyVerifiesDoesNotCount(t *testing.T) {
	b := shared(t)
	p := bound()
	p.Tokens.At = []string{"web"}
	b.Apply(t, p)
	expect(t, b.Request(t, "web", b.bearing(t, b.token(t, identity.TokenRequest{}))), "http 403 RBAC: access denied envoy@bank")
}
