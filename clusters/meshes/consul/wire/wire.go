// Package wire is how the certificate authority of Consul is asked for a leaf:
// by its HTTP API, as an agent beside a proxy asks.
package wire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"path"

	"github.com/meshbreach/meshbreach/attacker"
)

// ParameterAuthMethod names the auth method that logs workloads in, in
// Authority.Parameters.
const ParameterAuthMethod = "auth-method"

// A Protocol is Consul's. The zero value works.
type Protocol struct{}

var _ attacker.AuthorityProtocol = Protocol{}

// Name is the name in Authority.Protocol.
func (Protocol) Name() string { return "consul" }

// TokenAudience is empty: Consul has the platform review the token.
func (Protocol) TokenAudience() string { return "" }

// RequestLeaf logs in by the auth method, where there is a token, and asks for
// the leaf of one service. Consul makes the key, and it has no field for a life.
func (Protocol) RequestLeaf(ctx context.Context, f attacker.Foothold, q attacker.LeafRequest) (*attacker.KeyPair, attacker.Observation, error) {
	if len(q.Identities) != 1 {
		return nil, attacker.Observation{}, errors.New("Consul is asked for the leaf of one service at a time") //nolint:staticcheck // a name begins with a capital
	}
	ask := attacker.Request{
		Nonce: q.Nonce, Address: q.Authority.Address, Path: "/v1/agent/connect/ca/leaf/" + path.Base(q.Identities[0]),
		Headers: map[string][]string{"content-type": {"application/json"}},
	}
	var related []netip.AddrPort
	if q.Token != "" {
		token, o := logIn(ctx, f, q)
		if o.Refusal != nil {
			return nil, o, nil
		}
		related = append(related, o.Local)
		ask.Headers = map[string][]string{"x-consul-token": {token}}
	}
	answer, o := f.Fetch(ctx, ask)
	o.Related = related
	if o.Refusal != nil {
		return nil, decided(o), nil
	}
	var leaf struct{ CertPEM, PrivateKeyPEM string }
	if json.Unmarshal(answer, &leaf) != nil || leaf.CertPEM == "" {
		return nil, without(o, "leaf"), nil
	}
	return &attacker.KeyPair{Chain: leaf.CertPEM, Key: leaf.PrivateKeyPEM}, o, nil
}

// logIn gives the token of Consul that a token of the platform is good for.
func logIn(ctx context.Context, f attacker.Foothold, q attacker.LeafRequest) (string, attacker.Observation) {
	body, err := json.Marshal(map[string]string{"AuthMethod": q.Authority.Parameters[ParameterAuthMethod], "BearerToken": q.Token})
	if err != nil {
		return "", attacker.Observation{Refusal: &attacker.Refusal{Layer: attacker.LayerSocket, Text: err.Error()}}
	}
	answer, o := f.Fetch(ctx, attacker.Request{
		Nonce: q.Nonce, Address: q.Authority.Address, Method: http.MethodPost, Path: "/v1/acl/login",
		Headers: map[string][]string{"content-type": {"application/json"}}, Body: string(body),
	})
	if o.Refusal != nil {
		return "", decided(o)
	}
	var token struct{ SecretID string }
	if json.Unmarshal(answer, &token) != nil || token.SecretID == "" {
		return "", without(o, "token")
	}
	return token.SecretID, o
}

// decided lays a refusal to the authority when it answered that the caller is
// at fault.
func decided(o attacker.Observation) attacker.Observation {
	if r := o.Refusal; r.Layer == attacker.LayerHTTP && r.Code >= 400 && r.Code < 500 {
		r.Layer = attacker.LayerCA
	}
	return o
}

// without is an answer that lacks what was asked for.
func without(o attacker.Observation, what string) attacker.Observation {
	o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerApp, Text: "the answer holds no " + what}
	return o
}
