package identity_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

func token(t *testing.T, ca *identity.CA, q identity.TokenRequest) string {
	t.Helper()
	q.Subject = web
	text, err := ca.Token(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func issuers(t *testing.T, ca *identity.CA) map[string]clusters.Issuer {
	t.Helper()
	_, out, err := ca.Public()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// verify reads a token as a verifier that has a key set does.
func verify(t *testing.T, text, jwks string, algorithms ...jose.SignatureAlgorithm) (jwt.Claims, error) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(jwks), &set); err != nil {
		t.Fatal(err)
	}
	var out jwt.Claims
	parsed, err := jwt.ParseSigned(text, algorithms)
	if err != nil {
		return out, err
	}
	for _, key := range set.Key(parsed.Headers[0].KeyID) {
		if key.Algorithm != parsed.Headers[0].Algorithm {
			continue
		}
		return out, parsed.Claims(key.Key, &out)
	}
	return out, jose.ErrJWKSKidNotFound
}

func header(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnOrdinaryTokenVerifiesAndNamesItsSubjectInFull(t *testing.T) {
	ca := newCA(t)
	main := issuers(t, ca)[identity.IssuerMain]
	c, err := verify(t, token(t, ca, identity.TokenRequest{}), main.JWKS, jose.RS256)
	if err != nil {
		t.Fatal(err)
	}
	want := jwt.Expected{Issuer: main.URL, Subject: web.ID(), AnyAudience: jwt.Audience{"bank"}, Time: now}
	if err := c.ValidateWithLeeway(want, 0); err != nil {
		t.Error(err)
	}
	if got := c.Expiry.Time().Sub(now.Truncate(time.Second)); got != identity.TokenLifetime {
		t.Errorf("lives %s, want %s", got, identity.TokenLifetime)
	}
}

func TestATokenIsValidOnlyInsideItsTime(t *testing.T) {
	ca := newCA(t)
	main := issuers(t, ca)[identity.IssuerMain]
	for name, c := range map[string]struct {
		q    identity.TokenRequest
		want error
	}{
		"expired a second ago": {identity.TokenRequest{Expires: now.Add(-time.Second)}, jwt.ErrExpired},
		"expired an hour ago":  {identity.TokenRequest{Expires: now.Add(-time.Hour)}, jwt.ErrExpired},
		"starts in a second":   {identity.TokenRequest{Starts: now.Add(time.Second)}, jwt.ErrNotValidYet},
		"starts in an hour":    {identity.TokenRequest{Starts: now.Add(time.Hour)}, jwt.ErrNotValidYet},
		"started a minute ago": {identity.TokenRequest{Starts: now.Add(-time.Minute)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := verify(t, token(t, ca, c.q), main.JWKS, jose.RS256)
			if err != nil {
				t.Fatal(err)
			}
			if got := claims.ValidateWithLeeway(jwt.Expected{Time: now}, 0); !errors.Is(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if claims.IssuedAt.Time().After(now) {
				t.Error("issued in the future, which is another fault than the one asked for")
			}
			if !claims.NotBefore.Time().Before(claims.Expiry.Time()) {
				t.Error("was never valid, which is another fault than the one asked for")
			}
		})
	}
}

func TestIssuersDifferInNameAndKeyAndAnUnknownOneOnlyInName(t *testing.T) {
	ca := newCA(t)
	all := issuers(t, ca)
	main, other := all[identity.IssuerMain], all[identity.IssuerOther]
	fromOther := token(t, ca, identity.TokenRequest{Issuer: identity.IssuerOther})
	if c, err := verify(t, fromOther, other.JWKS, jose.RS256); err != nil || c.Issuer != other.URL || other.URL == main.URL {
		t.Errorf("from other: %v, issuer %s, main is %s", err, c.Issuer, main.URL)
	}
	if _, err := verify(t, fromOther, main.JWKS, jose.RS256); err == nil {
		t.Error("main's key verifies other's token")
	}
	unknown := token(t, ca, identity.TokenRequest{Issuer: "nobody"})
	if c, err := verify(t, unknown, main.JWKS, jose.RS256); err != nil || c.Issuer != "https://nobody.issuer.test" {
		t.Errorf("from nobody: %v, issuer %s", err, c.Issuer)
	}
	if c, err := verify(t, token(t, ca, identity.TokenRequest{Issuer: "https://evil.test/x"}), main.JWKS, jose.RS256); err != nil || c.Issuer != "https://evil.test/x" {
		t.Errorf("from a URL: %v, issuer %s", err, c.Issuer)
	}
}

func TestAudienceKidAndExtraHeadersAreAsAsked(t *testing.T) {
	ca := newCA(t)
	main := issuers(t, ca)[identity.IssuerMain]
	if c, err := verify(t, token(t, ca, identity.TokenRequest{Audience: "shop"}), main.JWKS, jose.RS256); err != nil || !c.Audience.Contains("shop") || c.Audience.Contains("bank") {
		t.Errorf("audience %v, %v", c.Audience, err)
	}
	odd := token(t, ca, identity.TokenRequest{Kid: "no-such-key", Header: map[string]any{"x-note": "here"}})
	if h := header(t, odd); h["kid"] != "no-such-key" || h["x-note"] != "here" || h["alg"] != "RS256" {
		t.Errorf("header %v", h)
	}
	if _, err := verify(t, odd, main.JWKS, jose.RS256); err == nil {
		t.Error("an unknown kid found a key")
	}
}

func TestThePublishedHMACKeyVerifiesWhatThePublicKeySigned(t *testing.T) {
	ca := newCA(t)
	main := issuers(t, ca)[identity.IssuerMain]
	kid, ok := header(t, token(t, ca, identity.TokenRequest{}))["kid"].(string)
	if !ok {
		t.Fatal("an ordinary token has no kid")
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(main.PEM)}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jwt.Signed(s).Claims(jwt.Claims{Subject: web.ID()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	weak, err := identity.HMACKeySet(main)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, forged, main.JWKS, jose.RS256, jose.HS256); err == nil {
		t.Error("the honest key set verifies the forgery")
	}
	if _, err := verify(t, forged, weak, jose.RS256, jose.HS256); err != nil {
		t.Errorf("the weak key set does not verify the forgery: %v", err)
	}
	if _, err := verify(t, token(t, ca, identity.TokenRequest{}), weak, jose.RS256, jose.HS256); err != nil {
		t.Errorf("the weak key set refuses honest tokens: %v", err)
	}
}

func TestThePublicHalfHoldsNoPrivateKey(t *testing.T) {
	roots, all, err := newCA(t).Public()
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range all {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(i.JWKS), &set); err != nil {
			t.Fatal(err)
		}
		for _, k := range set.Keys {
			if !k.IsPublic() {
				t.Errorf("issuer %s publishes a private key", name)
			}
		}
		if !strings.HasPrefix(i.PEM, "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("issuer %s has no public PEM", name)
		}
	}
	for name, text := range roots {
		if len(certificates(t, []byte(text))) != 1 || strings.Contains(text, "KEY") {
			t.Errorf("root %s is not one certificate", name)
		}
	}
}

func TestWhatAnIssuerCannotSignIsRefusedByName(t *testing.T) {
	ca := newCA(t)
	for want, q := range map[string]identity.TokenRequest{
		"attacker":       {Subject: web, Key: "attacker"},
		"public-as-hmac": {Subject: web, Key: "public-as-hmac"},
		"none":           {Subject: web, Alg: "none"},
		"tampered":       {Subject: web, Tamper: map[string]any{"sub": "x"}},
		"jwk":            {Subject: web, Header: map[string]any{"jwk": "attacker"}},
		"identity":       {},
	} {
		text, err := ca.Token(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), want) || text != "" {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

func TestSharedIssuersSignForEveryRange(t *testing.T) {
	shared := identity.NewIssuers()
	one, err := identity.NewCA("one.test", identity.CAOptions{Issuers: shared})
	if err != nil {
		t.Fatal(err)
	}
	two, err := identity.NewCA("two.test", identity.CAOptions{Issuers: shared})
	if err != nil {
		t.Fatal(err)
	}
	if issuers(t, one)[identity.IssuerMain] != issuers(t, two)[identity.IssuerMain] {
		t.Error("two ranges have two issuers")
	}
}
