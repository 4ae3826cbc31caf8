package attackertest

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/meshbreach/meshbreach/attacker"
)

// Asked is what somebody wants of an authority.
type Asked struct {
	Token       string
	Peer        []*x509.Certificate // verified by nobody yet
	Names       []string            // the identities that are asked for
	CSR         *x509.CertificateRequest
	Life        time.Duration // zero: not said
	Impersonate string
	Forwarded   string
}

// An Authority decides who gets which certificate. A Speaker serves it.
type Authority struct {
	Endpoint   attacker.Authority // filled in by the speaker
	Identities map[string]string  // of the cast, by name
	ca         *CA
	login      func(token string) error
	decide     func(Asked) (LeafSpec, error)
}

// A Speaker serves an authority in a mesh's own protocol until the test ends,
// and fills in its Endpoint.
type Speaker func(t testing.TB, a *Authority)

// Known is a target beside which this authority can be asked.
func (a *Authority) Known(t attacker.Target) attacker.Target {
	t.Authority, t.Identities = &a.Endpoint, a.Identities
	return t
}

// NaiveAuthority signs whatever the request says, for everybody.
func NaiveAuthority(t testing.TB, ca *CA, speak Speaker, names map[string]string) *Authority {
	t.Helper()
	a := &Authority{Identities: names, ca: ca, login: func(string) error { return nil }, decide: func(q Asked) (LeafSpec, error) {
		spec := asAsked(q)
		switch {
		case q.Impersonate != "":
			spec = For(q.Impersonate)
		case q.Forwarded != "":
			spec = For(strings.TrimPrefix(q.Forwarded, "URI="))
		}
		return spec, nil
	}}
	speak(t, a)
	return a
}

func asAsked(q Asked) LeafSpec {
	spec := For(q.Names...)
	if q.Life > 0 {
		spec.NotAfter = time.Now().Add(q.Life)
	}
	return spec
}

// An AuthorityPolicy is what a hardened authority demands.
type AuthorityPolicy struct {
	Issuer   *Issuer // of the tokens
	Audience string
	Longest  time.Duration // life that is granted; an hour when zero
}

// HardenedAuthority signs for who brings a token of the issuer, for the
// subject of the token and for nobody else, whatever the request says.
func HardenedAuthority(t testing.TB, ca *CA, speak Speaker, names map[string]string, p AuthorityPolicy) *Authority {
	t.Helper()
	tokens := Policy{Issuer: p.Issuer, Audience: p.Audience}
	if p.Longest == 0 {
		p.Longest = time.Hour
	}
	a := &Authority{Identities: names, ca: ca}
	a.login = func(token string) error {
		if _, err := tokens.verify(token); err != nil {
			return status.Error(codes.Unauthenticated, "request authenticate failure")
		}
		return nil
	}
	a.decide = func(q Asked) (LeafSpec, error) {
		claims, err := tokens.verify(q.Token)
		switch {
		case err != nil:
			return LeafSpec{}, status.Error(codes.Unauthenticated, "request authenticate failure")
		case q.Impersonate != "" || q.Forwarded != "":
			return LeafSpec{}, status.Error(codes.Unauthenticated, "request impersonation authentication failure")
		case !slices.Equal(q.Names, []string{claims.Subject}):
			return LeafSpec{}, status.Error(codes.PermissionDenied, "the request names another than the caller")
		case q.Life > p.Longest:
			return LeafSpec{}, status.Error(codes.InvalidArgument, "requested TTL is greater than the max allowed TTL")
		}
		return For(claims.Subject), nil
	}
	speak(t, a)
	return a
}

// LogIn says why a token is not taken.
func (a *Authority) LogIn(token string) error { return a.login(token) }

// Leaf decides and makes a leaf with a key. A refusal is a status of gRPC.
func (a *Authority) Leaf(q Asked) (*attacker.KeyPair, error) {
	spec, err := a.decide(q)
	if err != nil {
		return nil, err
	}
	return a.ca.Leaf(spec), nil
}

// ServerLeaf is a leaf for the server itself.
func (a *Authority) ServerLeaf(names ...string) *attacker.KeyPair {
	return a.ca.Leaf(LeafSpec{DNS: names})
}

// Sign decides and signs a certificate request, PEM; the chain is PEM. A refusal
// is a status of gRPC.
func (a *Authority) Sign(q Asked, csr string) (string, error) {
	block, _ := pem.Decode([]byte(csr))
	if block == nil {
		return "", status.Error(codes.InvalidArgument, "the request is not PEM")
	}
	var err error
	if q.CSR, err = x509.ParseCertificateRequest(block.Bytes); err == nil {
		err = q.CSR.CheckSignature()
	}
	if err != nil {
		return "", status.Error(codes.InvalidArgument, err.Error())
	}
	q.Names = q.CSR.DNSNames
	for _, u := range q.CSR.URIs {
		q.Names = append(q.Names, u.String())
	}
	spec, err := a.decide(q)
	if err != nil {
		return "", err
	}
	return a.ca.sign(spec, q.CSR.PublicKey)
}

// first is the first value of a name in a call's metadata.
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
