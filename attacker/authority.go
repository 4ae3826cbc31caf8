package attacker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// An Authority is the certificate authority of a mesh and the control plane
// around it, as workloads see them. Nothing in it is a secret. The mesh says it
// as an identity.Endpoint, which has the same fields: the runner converts one
// into the other, and that does not compile when a field is in one of them only.
type Authority struct {
	Protocol   string            `json:"protocol"`             // name of an AuthorityProtocol
	Address    string            `json:"address"`              // host:port, from the workloads' network
	ServerName string            `json:"serverName,omitempty"` // of its certificate; empty: it speaks plaintext
	Parameters map[string]string `json:"parameters,omitempty"` // what else the protocol has to know, by its own names
	// Platform is the API of the platform that gives tokens to accounts,
	// host:port; empty where workloads reach none.
	Platform string `json:"platform,omitempty"`
	// Identity is that of the control plane itself; empty where it has none that
	// could be claimed.
	Identity string `json:"identity,omitempty"`
	// Endpoints are the further addresses of the control plane, host:port, by what
	// is behind them.
	Endpoints map[string]string `json:"endpoints,omitempty"`
	// Nodes are the names that the cast members' proxies go by at the control
	// plane, by name.
	Nodes map[string]string `json:"nodes,omitempty"`
	// PodImage is the image of a probe for pods that are submitted to the
	// platform. It is empty where no node runs them.
	PodImage  string            `json:"podImage,omitempty"`
	PodPull   string            `json:"podPull,omitempty"`   // when nodes pull it: Never or IfNotPresent
	PodLabels map[string]string `json:"podLabels,omitempty"` // by which a pod asks for the mesh's proxy
}

// An AuthorityProtocol is how one kind of certificate authority is asked for a
// leaf. Each mesh brings its own. An attack finds it among Foothold.Protocols,
// by the name in Authority.Protocol.
type AuthorityProtocol interface {
	// Name is what Authority.Protocol says.
	Name() string
	// TokenAudience is the audience that the authority wants in a token of the
	// platform; empty means the platform's own.
	TokenAudience() string
	// RequestLeaf asks the authority once. It returns no pair when it was
	// refused. A refusal that the authority itself decided on has LayerCA; one
	// that was met on the way keeps its own layer. An error means that this
	// protocol has no way to ask so.
	RequestLeaf(ctx context.Context, f Foothold, q LeafRequest) (*KeyPair, Observation, error)
}

// A LeafRequest is what an attacker asks of a certificate authority.
type LeafRequest struct {
	Nonce      string
	Authority  Authority
	Identities []string      // that the leaf is to carry; see URI
	Token      string        // the credential; empty: none
	Leaf       *KeyPair      // the credential; nil: none
	Validity   time.Duration // the life to ask for; the authority's own when zero
	// Impersonate is the identity that is asked for in the way a node's proxy
	// asks for others; Forwarded is the one that a gateway would say it saw.
	Impersonate, Forwarded string
}

// A DiscoveryProtocol is an AuthorityProtocol of a mesh whose proxies get their
// configuration by Envoy's aggregated discovery service (ADS).
type DiscoveryProtocol interface {
	// DiscoveryRequest is an encoded envoy.service.discovery.v3.DiscoveryRequest
	// as a proxy of the mesh sends it.
	DiscoveryRequest(q DiscoveryRequest) ([]byte, error)
}

// A DiscoveryRequest is what an attacker asks of a control plane as a proxy.
type DiscoveryRequest struct {
	Authority          Authority
	Node               string // the name of the proxy
	Namespace, Account string // that it says it is of; an empty account is not said
	Ask                string // listeners, clusters, debug or policies
}

// A TokenIssuerProtocol is an AuthorityProtocol of a mesh in which the owner of a
// workload may name the issuer of the tokens that count there.
type TokenIssuerProtocol interface {
	// IssuerObject is the object that does it, and the path at the platform's API
	// where it is made.
	IssuerObject(q TokenIssuer) (path string, object map[string]any)
}

// A TokenIssuer is an issuer of tokens for one workload.
type TokenIssuer struct {
	Name      string // of the object
	Namespace string // of the object and the workload
	Workload  string
	Issuer    string
	Keys      string // URL of its keys
}

// Protocol finds an authority's protocol by its name.
func (f Foothold) Protocol(name string) (AuthorityProtocol, error) {
	known := make([]string, 0, len(f.Protocols))
	for _, p := range f.Protocols {
		if p.Name() == name {
			return p, nil
		}
		known = append(known, p.Name())
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("this probe speaks no protocol of certificate authorities, and this one speaks %q", name)
	}
	return nil, fmt.Errorf("this probe does not speak %q, the protocol of the certificate authority; it speaks %s", name, strings.Join(known, ", "))
}

// URI says whether an identity is a URI, such as spiffe://mesh/ns/prod/sa/web,
// and not a DNS name, such as web.prod.serviceaccount.identity.mesh.
func URI(identity string) bool { return strings.Contains(identity, "://") }

// NewCSR makes a key and a certificate request for it, both PEM. The identities
// are not checked: what an authority makes of them is what is tried.
func NewCSR(identities []string) (key, csr string, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	template := new(x509.CertificateRequest)
	for _, id := range identities {
		if !URI(id) {
			template.DNSNames = append(template.DNSNames, id)
			continue
		}
		u, err := url.Parse(id)
		if err != nil {
			return "", "", fmt.Errorf("ask for an identity: %w", err)
		}
		template.URIs = append(template.URIs, u)
	}
	asked, err := x509.CreateCertificateRequest(rand.Reader, template, secret)
	if err != nil {
		return "", "", fmt.Errorf("make a certificate request: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return "", "", fmt.Errorf("write the key: %w", err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("PRIVATE KEY", der), text("CERTIFICATE REQUEST", asked), nil
}

// Certificate reads the leaf of the chain.
func (k KeyPair) Certificate() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(k.Chain))
	if block == nil {
		return nil, errors.New("the chain is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// IdentitiesOf are the identities in a certificate: its URIs, or its DNS names
// where it has no URI.
func IdentitiesOf(leaf *x509.Certificate) []string {
	if len(leaf.URIs) == 0 {
		return leaf.DNSNames
	}
	out := make([]string, 0, len(leaf.URIs))
	for _, u := range leaf.URIs {
		out = append(out, u.String())
	}
	return out
}
