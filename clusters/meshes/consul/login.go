package consul

import (
	"context"
	"fmt"
	"net/http"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// An admission is an auth method and its rule, as Consul's API takes them.
type admission struct {
	name   string
	method map[string]any
	bind   string // the service identity that a login gets, in the method's own variables
}

// The names of the auth methods: the one that workloads log in by, and one
// that only a mistake makes.
const (
	methodName  = "workloads"
	methodByKey = "workloads-by-key"
)

// reviewed asks the API about every token. It names no audience, so what is for
// the API logs in, and it binds by account name alone: the namespace is nothing.
func (p *platform) reviewed() admission {
	return admission{methodName, map[string]any{
		"Name": methodName, "Type": "kubernetes",
		"Config": map[string]any{
			"Host": p.host(), "CACert": string(p.api.Certificate()), "ServiceAccountJWT": p.reviewer,
		},
	}, "${serviceaccount.name}"}
}

// verified believes whatever the key of the API has signed for one of many
// audiences, and asks nobody.
func (p *platform) verified() admission {
	return admission{methodByKey, map[string]any{
		"Name": methodByKey, "Type": "jwt",
		"Config": map[string]any{
			"BoundAudiences":       []string{kubeapi.Issuer, identity.AudienceVault},
			"BoundIssuer":          kubeapi.Issuer,
			"JWTSupportedAlgs":     []string{"ES256"},
			"JWTValidationPubKeys": []string{string(p.api.AccountKey())},
			"ClaimMappings":        map[string]string{"/kubernetes.io/serviceaccount/name": "account"},
		},
	}, "${value.account}"}
}

// admit makes an auth method and its rule.
func (s *server) admit(ctx context.Context, a admission) error {
	if err := s.api.call(ctx, http.MethodPut, "/v1/acl/auth-method", a.method, nil); err != nil {
		return fmt.Errorf("make the auth method: %w", err)
	}
	rule := map[string]string{"AuthMethod": a.name, "BindType": "service", "BindName": a.bind}
	if err := s.api.call(ctx, http.MethodPut, "/v1/acl/binding-rule", rule, nil); err != nil {
		return fmt.Errorf("bind logins to services: %w", err)
	}
	return nil
}

// dismiss takes an auth method away, and with it its rule and its logins.
func (s *server) dismiss(ctx context.Context, name string) error {
	if err := s.api.call(ctx, http.MethodDelete, "/v1/acl/auth-method/"+name, nil, nil); err != nil {
		return fmt.Errorf("take the auth method away: %w", err)
	}
	return nil
}

// login gives whoever has a bearer token the token of a service. It is a secret.
func (s *server) login(ctx context.Context, bearer string) (string, error) {
	var token struct{ SecretID string }
	in := map[string]string{"AuthMethod": methodName, "BearerToken": bearer}
	err := s.api.as(ctx, "", http.MethodPost, "/v1/acl/login", in, &token)
	return token.SecretID, err
}

// enter logs a workload in. What the API lets the server do, it may have to
// learn first.
func (st *stage) enter(ctx context.Context, w clusters.Workload) (string, error) {
	bearer, err := st.platform.api.Token(ctx, st.platform.pod(w, st.server.at), kubeapi.Issuer, tokenLife)
	if err != nil {
		return "", fmt.Errorf("log %s in: %w", w.Name, err)
	}
	var token string
	err = st.server.until(ctx, "the login of "+w.Name, func(ctx context.Context) (err error) {
		token, err = st.server.login(ctx, bearer)
		return err
	})
	return token, err
}
