package identity

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names in Range.Issuers. Meshes may trust both; they differ in URL and key.
const (
	IssuerMain  = policy.IssuerMain
	IssuerOther = "other"
)

// TokenLifetime is how long a token lives when nobody says otherwise.
const TokenLifetime = 5 * time.Minute

// Issuers are the token issuers. They may be shared between ranges: their RSA
// keys are the dearest part of a range, and tokens name their subject in full.
type Issuers struct {
	keys map[string]func() (issuer, error)
}

type issuer struct {
	key    jose.JSONWebKey // private
	public clusters.Issuer
}

// NewIssuers returns at once; the keys are made beside it, and who needs one
// waits for it.
func NewIssuers() *Issuers {
	s := &Issuers{keys: map[string]func() (issuer, error){}}
	for _, name := range []string{IssuerMain, IssuerOther} {
		once := sync.OnceValues(func() (issuer, error) { return newIssuer(name) })
		s.keys[name] = once
		go func() { _, _ = once() }() // whoever uses it gets the error
	}
	return s
}

// Public is the public half of every issuer by name.
func (s *Issuers) Public() (map[string]clusters.Issuer, error) {
	out := map[string]clusters.Issuer{}
	for _, name := range slices.Sorted(maps.Keys(s.keys)) {
		i, err := s.keys[name]()
		if err != nil {
			return nil, err
		}
		out[name] = i.public
	}
	return out, nil
}

// HMACKeySet is an issuer's JWKS with a known mistake: it has, under the same
// kid, a second key of type oct and algorithm HS256 whose value is the text of
// the public key's PEM, which everybody knows.
func HMACKeySet(i clusters.Issuer) (string, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(i.JWKS), &set); err != nil {
		return "", fmt.Errorf("read the key set of %s: %w", i.URL, err)
	}
	if len(set.Keys) == 0 {
		return "", fmt.Errorf("read the key set of %s: it is empty", i.URL)
	}
	set.Keys = append(set.Keys, jose.JSONWebKey{
		Key: []byte(i.PEM), KeyID: set.Keys[0].KeyID, Algorithm: string(jose.HS256), Use: "sig",
	})
	return marshal(set)
}

func newIssuer(name string) (issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return issuer{}, fmt.Errorf("make the key of issuer %s: %w", name, err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return issuer{}, fmt.Errorf("write the key of issuer %s: %w", name, err)
	}
	private := jose.JSONWebKey{Key: key, Algorithm: string(jose.RS256), Use: "sig"}
	sum, err := private.Thumbprint(crypto.SHA256)
	if err != nil {
		return issuer{}, fmt.Errorf("name the key of issuer %s: %w", name, err)
	}
	private.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	set, err := marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		return issuer{}, err
	}
	return issuer{key: private, public: clusters.Issuer{
		URL:  issuerURL(name),
		JWKS: set,
		PEM:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}}, nil
}

// issuerURL lies under .test, which nobody can own (RFC 2606).
func issuerURL(name string) string {
	if strings.Contains(name, "://") {
		return name
	}
	return "https://" + name + ".issuer.test"
}

func (s *Issuers) token(now time.Time, q TokenRequest) (string, error) {
	if err := signable(q); err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", q.Subject.Name, err)
	}
	name := q.Issuer
	if name == "" {
		name = IssuerMain
	}
	// An unknown issuer has no key of its own, and its name must be what it is refused for.
	signer, ok := s.keys[name]
	if !ok {
		signer = s.keys[IssuerMain]
	}
	i, err := signer()
	if err != nil {
		return "", err
	}
	if q.Kid != "" {
		i.key.KeyID = q.Kid
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for _, k := range slices.Sorted(maps.Keys(q.Header)) {
		options = options.WithHeader(jose.HeaderKey(k), q.Header[k])
	}
	with, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key}, options)
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", q.Subject.Name, err)
	}
	text, err := jwt.Signed(with).Claims(claims(now, issuerURL(name), q)).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", q.Subject.Name, err)
	}
	return text, nil
}

// claims are whole seconds, cut down: a token never lives longer than asked,
// and one that is to start in the future is rounded up.
func claims(now time.Time, issuer string, q TokenRequest) jwt.Claims {
	starts, expires := q.Starts, q.Expires
	if starts.IsZero() {
		starts = now
	} else if whole := starts.Truncate(time.Second); !whole.Equal(starts) {
		starts = whole.Add(time.Second)
	}
	if expires.IsZero() {
		expires = now.Add(TokenLifetime)
		if !starts.Before(expires) {
			expires = starts.Add(TokenLifetime)
		}
	}
	if q.Starts.IsZero() && !starts.Before(expires) { // it was issued while it was alive
		starts = expires.Add(-TokenLifetime)
	}
	issued := starts
	if issued.After(now) {
		issued = now
	}
	audience := q.Audience
	if audience == "" {
		audience = clusters.Server().Name
	}
	return jwt.Claims{
		Issuer:    issuer,
		Subject:   q.Subject.ID(),
		Audience:  jwt.Audience{audience},
		IssuedAt:  jwt.NewNumericDate(issued),
		NotBefore: jwt.NewNumericDate(starts),
		Expiry:    jwt.NewNumericDate(expires),
		ID:        rand.Text(), // no two tokens are the same text
	}
}

// signable refuses what takes another key than an issuer's, or none: the
// attacker does that to a genuine token.
func signable(q TokenRequest) error {
	var errs []error
	if q.Subject.TrustDomain == "" || q.Subject.Namespace == "" || q.Subject.Account == "" {
		errs = append(errs, errors.New("a subject without trust domain, namespace or account has no identity"))
	}
	if q.Key != "" {
		errs = append(errs, fmt.Errorf("key %q is not the issuer's: the attacker signs with it", q.Key))
	}
	if q.Alg != "" {
		errs = append(errs, fmt.Errorf("algorithm %q: the issuer signs with RS256 alone", q.Alg))
	}
	if len(q.Tamper) > 0 {
		errs = append(errs, errors.New("tampered claims: the attacker changes them after signing"))
	}
	for _, k := range slices.Sorted(maps.Keys(q.Header)) {
		if slices.Contains([]string{"alg", "kid", "jwk", "jku", "x5c", "x5u"}, k) {
			errs = append(errs, fmt.Errorf("header %q: the issuer does not write it, the attacker does", k))
		}
	}
	return errors.Join(errs...)
}

// marshal writes a key set as one line.
func marshal(set jose.JSONWebKeySet) (string, error) {
	text, err := json.Marshal(set)
	if err != nil {
		return "", fmt.Errorf("write a key set: %w", err)
	}
	return string(text), nil
}
