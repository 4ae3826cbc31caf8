package consul

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/clusters"
)

// A proof is how workloads prove to Consul who they are: an auth method, and a
// bearer token for every workload.
type proof interface {
	// method is the auth method as Consul's API takes it.
	method() (map[string]any, error)
	// bearer is what a workload logs in with. It is a secret.
	bearer(ctx context.Context, w clusters.Workload) (string, error)
	// bindName is the service identity that a login gets, in the method's own variables.
	bindName() string
}

const (
	methodName   = "workloads"
	loginIssuer  = "https://workloads.meshbreach.test"
	loginFor     = "consul"
	loginForTime = time.Minute
)

// signed is a proof by tokens that the harness signs, as a platform does that
// Consul has no auth method of its own for. As with Kubernetes service
// accounts the binding is by account name alone, and the namespace is nothing.
type signed struct{ key *ecdsa.PrivateKey }

func newSigned() (signed, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signed{}, fmt.Errorf("make the key of the login tokens: %w", err)
	}
	return signed{key}, nil
}

func (s signed) method() (map[string]any, error) {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string]any{
		"Name": methodName, "Type": "jwt",
		"Config": map[string]any{
			"BoundAudiences":       []string{loginFor},
			"BoundIssuer":          loginIssuer,
			"JWTSupportedAlgs":     []string{string(jose.ES256)},
			"JWTValidationPubKeys": []string{string(public)},
			"ClaimMappings":        map[string]string{"account": "account", "namespace": "namespace"},
		},
	}, nil
}

func (signed) bindName() string { return "${value.account}" }

func (s signed) bearer(_ context.Context, w clusters.Workload) (string, error) {
	return s.sign(w, loginFor, time.Now().Add(loginForTime))
}

// sign makes a token of a workload's account.
func (s signed) sign(w clusters.Workload, audience string, expires time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		return "", err
	}
	start := time.Now()
	if !start.Before(expires) { // what ended long ago began before it did
		start = expires.Add(-loginForTime)
	}
	return jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: loginIssuer, Audience: jwt.Audience{audience}, Subject: "system:serviceaccount:" + w.Namespace + ":" + w.Account,
		IssuedAt: jwt.NewNumericDate(start), NotBefore: jwt.NewNumericDate(start), Expiry: jwt.NewNumericDate(expires),
	}).Claims(map[string]any{"account": w.Account, "namespace": w.Namespace}).Serialize()
}

// admit makes the auth method and its rule.
func (s *server) admit(ctx context.Context, p proof) error {
	m, err := p.method()
	if err != nil {
		return err
	}
	if err := s.api.call(ctx, http.MethodPut, "/v1/acl/auth-method", m, nil); err != nil {
		return fmt.Errorf("make the auth method: %w", err)
	}
	rule := map[string]string{"AuthMethod": methodName, "BindType": "service", "BindName": p.bindName()}
	if err := s.api.call(ctx, http.MethodPut, "/v1/acl/binding-rule", rule, nil); err != nil {
		return fmt.Errorf("bind logins to services: %w", err)
	}
	return nil
}

// login gives a workload the token of its service. It is a secret.
func (s *server) login(ctx context.Context, p proof, w clusters.Workload) (string, error) {
	bearer, err := p.bearer(ctx, w)
	if err != nil {
		return "", fmt.Errorf("log %s in: %w", w.Name, err)
	}
	var token struct{ SecretID string }
	in := map[string]string{"AuthMethod": methodName, "BearerToken": bearer}
	if err := s.api.as(ctx, "", http.MethodPost, "/v1/acl/login", in, &token); err != nil {
		return "", fmt.Errorf("log %s in: %w", w.Name, err)
	}
	return token.SecretID, nil
}
