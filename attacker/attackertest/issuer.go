package attackertest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// An Issuer signs bearer tokens by RS256.
type Issuer struct {
	URL string // the iss claim
	Kid string
	t   testing.TB
	key *rsa.PrivateKey
}

// NewIssuer makes an issuer with a fresh 2048-bit key.
func NewIssuer(t testing.TB, url string) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("make key of %s: %v", url, err)
	}
	return &Issuer{URL: url, Kid: "key-1", t: t, key: key}
}

// A TokenSpec says what a token holds; what the issuer's key can sign wrongly
// on purpose is said here, what needs no key is made by the attack.
type TokenSpec struct {
	Subject  string
	Audience string
	Issuer   string    // the issuer's own URL when empty
	Kid      string    // the issuer's own key id when empty
	Starts   time.Time // a minute ago when zero
	Expires  time.Time // in five minutes when zero
}

// Token signs a token, in compact form.
func (i *Issuer) Token(spec TokenSpec) string {
	i.t.Helper()
	claims := jwt.Claims{
		Issuer:    spec.Issuer,
		Subject:   spec.Subject,
		Audience:  jwt.Audience{spec.Audience},
		NotBefore: jwt.NewNumericDate(orTime(spec.Starts, time.Now().Add(-time.Minute))),
		IssuedAt:  jwt.NewNumericDate(time.Now()),
		Expiry:    jwt.NewNumericDate(orTime(spec.Expires, time.Now().Add(5*time.Minute))),
	}
	if claims.Issuer == "" {
		claims.Issuer = i.URL
	}
	kid := spec.Kid
	if kid == "" {
		kid = i.Kid
	}
	key := jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: kid}}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		i.t.Fatalf("make signer of %s: %v", i.URL, err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatalf("sign token of %s: %v", i.URL, err)
	}
	return token
}

// JWKS holds the public key.
func (i *Issuer) JWKS() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.Kid, Algorithm: string(jose.RS256), Use: "sig"}}}
}

// PublicPEM is the public key as an attacker would find it.
func (i *Issuer) PublicPEM() string {
	i.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		i.t.Fatalf("write public key of %s: %v", i.URL, err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
