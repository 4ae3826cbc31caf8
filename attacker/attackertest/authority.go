package attackertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/meshbreach/meshbreach/attacker"
)

// The protocols that an authority speaks.
const (
	ProtocolIstio  = "istio"
	ProtocolConsul = "consul"
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

// An Authority serves certificates by a mesh's own protocol.
type Authority struct {
	Endpoint attacker.Authority
	ca       *CA
	login    func(token string) error
	decide   func(Asked) (LeafSpec, error)
}

// NaiveAuthority signs whatever the request says, for everybody.
func NaiveAuthority(t testing.TB, ca *CA, protocol string, names map[string]string) *Authority {
	t.Helper()
	a := &Authority{ca: ca, login: func(string) error { return nil }, decide: func(q Asked) (LeafSpec, error) {
		spec := asAsked(q)
		switch {
		case q.Impersonate != "":
			spec.URIs = []string{q.Impersonate}
		case q.Forwarded != "":
			spec.URIs = []string{strings.TrimPrefix(q.Forwarded, "URI=")}
		}
		return spec, nil
	}}
	a.serve(t, protocol, names)
	return a
}

func asAsked(q Asked) LeafSpec {
	spec := LeafSpec{URIs: q.Names}
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
func HardenedAuthority(t testing.TB, ca *CA, protocol string, names map[string]string, p AuthorityPolicy) *Authority {
	t.Helper()
	tokens := Policy{Issuer: p.Issuer, Audience: p.Audience}
	if p.Longest == 0 {
		p.Longest = time.Hour
	}
	a := &Authority{ca: ca}
	a.login = func(token string) error {
		if _, err := tokens.verify(token); err != nil {
			return status.Error(codes.Unauthenticated, "request authenticate failure")
		}
		return nil
	}
	a.decide = func(q Asked) (LeafSpec, error) {
		claims, err := tokens.verify(q.Token)
		switch asked := asAsked(q).URIs; {
		case err != nil:
			return LeafSpec{}, status.Error(codes.Unauthenticated, "request authenticate failure")
		case q.Impersonate != "" || q.Forwarded != "":
			return LeafSpec{}, status.Error(codes.Unauthenticated, "request impersonation authentication failure")
		case !slices.Equal(asked, []string{claims.Subject}):
			return LeafSpec{}, status.Error(codes.PermissionDenied, "the request names another than the caller")
		case q.Life > p.Longest:
			return LeafSpec{}, status.Error(codes.InvalidArgument, "requested TTL is greater than the max allowed TTL")
		}
		return LeafSpec{URIs: []string{claims.Subject}}, nil
	}
	a.serve(t, protocol, names)
	return a
}

// serve listens on loopback until the test ends: Istio's with TLS that takes
// any client certificate or none, Consul's in plaintext.
func (a *Authority) serve(t testing.TB, protocol string, names map[string]string) {
	t.Helper()
	a.Endpoint = attacker.Authority{Protocol: protocol, Identities: names}
	switch protocol {
	case ProtocolIstio:
		a.serveIstio(t)
	case ProtocolConsul:
		a.serveConsul(t)
	default:
		t.Fatalf("no authority speaks %q", protocol)
	}
}

func (a *Authority) serveIstio(t testing.TB) {
	t.Helper()
	a.Endpoint.ServerName = "istiod.istio-system.svc"
	leaf := a.ca.Leaf(LeafSpec{DNS: []string{a.Endpoint.ServerName}})
	cert, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key))
	if err != nil {
		t.Fatalf("leaf of the authority: %v", err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"},
	})))
	for _, s := range a.istio(t) {
		server.RegisterService(&s, nil)
	}
	l := listen(t)
	a.Endpoint.Address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("authority: %v", err)
		}
	})
}

// sign decides and signs; the chain is PEM.
func (a *Authority) sign(ctx context.Context, q Asked, csr string) (string, error) {
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
	if p, ok := peer.FromContext(ctx); ok {
		if secure, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			q.Peer = secure.State.PeerCertificates
		}
	}
	q.Names = uris(q.CSR)
	spec, err := a.decide(q)
	if err != nil {
		return "", err
	}
	return a.ca.sign(spec, q.CSR.PublicKey)
}

func uris(r *x509.CertificateRequest) []string {
	var out []string
	for _, u := range r.URIs {
		out = append(out, u.String())
	}
	return out
}

// first is the first value of a name in a call's metadata.
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
