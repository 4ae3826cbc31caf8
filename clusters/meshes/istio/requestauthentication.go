package istio

import (
	"errors"
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// tokens is the RequestAuthentication of a workload that verifies tokens. A
// request without one passes it and is left to the rules.
//
// Tokens are read from the authorization header and from nowhere else: the
// default also takes the query parameter access_token.
func tokens(r clusters.Range, p policy.Policy, w clusters.Workload) (kubeapi.Object, bool, error) {
	if !p.Verifies(w.Name) {
		return nil, false, nil
	}
	if len(p.Tokens.Issuers) == 0 {
		return nil, false, errors.New("verify tokens: the policy trusts no issuer")
	}
	if p.Tokens.Optional {
		return nil, false, errors.New("verify tokens: Istio cannot let a request with a bad token pass")
	}
	var all []any
	for _, name := range p.Tokens.Issuers {
		url, keys, err := issuer(r, *p.Tokens, name)
		if err != nil {
			return nil, false, err
		}
		rule := map[string]any{
			"issuer": url, "jwks": keys,
			"fromHeaders": []any{map[string]any{"name": "Authorization", "prefix": "Bearer "}},
		}
		if p.Tokens.Audience != "" {
			rule["audiences"] = []string{p.Tokens.Audience}
		}
		all = append(all, rule)
	}
	return object(groupSecurity, "RequestAuthentication", w.Namespace, pod(w), map[string]any{
		"selector": selector(w), "jwtRules": all,
	}), true, nil
}

// issuer is an issuer's URL and its keys as they are published.
func issuer(r clusters.Range, t policy.Tokens, name string) (url, keys string, err error) {
	i, ok := r.Issuers[name]
	if !ok {
		return "", "", fmt.Errorf("trust the issuer %q: range %s has none of that name", name, r.Name)
	}
	keys = i.JWKS
	if t.PublishHMACKey {
		keys, err = identity.HMACKeySet(i)
	}
	return i.URL, keys, err
}

// claims demands a verified token. Which issuers verify is the business of the
// RequestAuthentication; a rule that names one narrows them.
func claims(r clusters.Range, p policy.Policy, c policy.Claim) ([]any, error) {
	var out []any
	want := func(key string, values ...string) {
		out = append(out, map[string]any{"key": "request.auth.claims[" + key + "]", "values": values})
	}
	if c.Subject != "" {
		w, err := r.Workload(c.Subject)
		if err != nil {
			return nil, err
		}
		want("sub", w.ID())
	}
	names := p.Tokens.Issuers
	if c.Issuer != "" {
		names = []string{c.Issuer}
	}
	var urls []string
	for _, name := range names {
		url, _, err := issuer(r, policy.Tokens{}, name)
		if err != nil {
			return nil, err
		}
		urls = append(urls, url)
	}
	want("iss", urls...)
	return out, nil
}
