package envoy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshbreach/meshbreach/clusters/identity"
)

// The names of a sidecar's secrets. Callers and servers are verified against
// the same roots but not by the same context: Envoy merges a cluster's own
// name matchers with those of the secret, and the caller's prefix would open
// the server's exact name.
const (
	secretLeaf    = "leaf"
	secretCallers = "callers"
	secretServers = "servers"
)

// rootMesh is the name in Range.Roots of what the mesh trusts.
const rootMesh = "mesh"

// contexts says how certificates are verified. The validator is Envoy's
// default one and not the SPIFFE one: that answers every bad leaf with the
// same certificate_unknown, and this says why.
func (b *builder) contexts() ([]proto.Message, error) {
	roots := b.r.Roots[rootMesh]
	for _, name := range b.p.Trust.ExtraRoots {
		extra, ok := b.r.Roots[name]
		if !ok {
			return nil, fmt.Errorf("trust the root %q: range %s has none of that name", name, b.r.Name)
		}
		roots += extra
	}
	prefix := "spiffe://" + b.r.TrustDomain + "/"
	if b.p.Trust.AnyTrustDomain {
		prefix = "spiffe://"
	}
	callers := b.context(secretCallers, roots)
	// Where names are matched Envoy demands a certificate, whatever else it is
	// told. So where one is optional, trust domains are left to the rules.
	if !b.p.Trust.OptionalCertificate {
		callers.GetValidationContext().MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{uri(beginning(prefix))}
	}
	return []proto.Message{callers, b.context(secretServers, roots)}, nil
}

func (b *builder) context(name, roots string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa:               &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: roots}},
			AllowExpiredCertificate: b.p.Trust.AcceptExpired,
		},
	}}
}

// leaf is the secret that must never be rendered or logged.
func leaf(k identity.KeyPair) *tlsv3.Secret {
	return &tlsv3.Secret{Name: secretLeaf, Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(k.Chain), PrivateKey: inline(k.Key)},
	}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
