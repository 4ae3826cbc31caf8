package consul

import (
	"encoding/base64"
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// provider is an issuer that the sidecars verify tokens of.
type provider struct {
	issuer string // name in Range.Issuers
	entry  entry
}

type providerBody struct {
	Kind, Name    string
	Issuer        string
	Audiences     []string `json:",omitempty"`
	JSONWebKeySet struct{ Local struct{ JWKS string } }
	// Consul takes it and hands it to no proxy, as of 1.22.
	ClockSkewSeconds int `json:",omitempty"`
}

// aDay is the clock skew of who ignores the time in tokens.
const aDay = 24 * 60 * 60

// jwtProviders are the issuers that a policy names. The name of a provider has
// its content in it: intentions that name it cannot mean an older one.
func jwtProviders(r clusters.Range, p policy.Policy) ([]provider, error) {
	if p.Tokens == nil {
		return nil, nil
	}
	var out []provider
	for _, name := range p.Tokens.Issuers {
		issuer, ok := r.Issuers[name]
		if !ok {
			return nil, fmt.Errorf("range %s has no issuer %s", r.Name, name)
		}
		keys, err := keySet(issuer, p.Tokens.PublishHMACKey)
		if err != nil {
			return nil, fmt.Errorf("keys of issuer %s: %w", name, err)
		}
		b := providerBody{Kind: kindProvider, Issuer: issuer.URL}
		if p.Tokens.Audience != "" {
			b.Audiences = []string{p.Tokens.Audience}
		}
		if p.Tokens.IgnoreExpiry {
			b.ClockSkewSeconds = aDay
		}
		b.JSONWebKeySet.Local.JWKS = base64.StdEncoding.EncodeToString(keys)
		sum, err := digest(b)
		if err != nil {
			return nil, err
		}
		b.Name = name + "-" + sum
		e, err := newEntry(kindProvider, b.Name, b)
		if err != nil {
			return nil, err
		}
		out = append(out, provider{issuer: name, entry: e})
	}
	return out, nil
}

// keySet is an issuer's keys and, by mistake, its public key as a secret.
func keySet(i clusters.Issuer, hmac bool) ([]byte, error) {
	if !hmac {
		return []byte(i.JWKS), nil
	}
	keys, err := identity.HMACKeySet(i)
	return []byte(keys), err
}

// demanded is the token that a rule asks for, nil for none.
func demanded(r clusters.Range, rule policy.Rule, p policy.Policy, providers []provider) (*jwtDemand, error) {
	if rule.Token == nil || p.Tokens == nil || p.Tokens.Optional || !p.Verifies(rule.To) {
		return nil, nil
	}
	var claims []claimMatch
	if rule.Token.Subject != "" {
		w, err := r.Workload(rule.Token.Subject)
		if err != nil {
			return nil, err
		}
		claims = []claimMatch{{Path: []string{"sub"}, Value: w.ID()}}
	}
	d := &jwtDemand{}
	for _, pr := range providers {
		if rule.Token.Issuer == "" || rule.Token.Issuer == pr.issuer {
			d.Providers = append(d.Providers, jwtProviderRef{Name: pr.entry.name, VerifyClaims: claims})
		}
	}
	if len(d.Providers) == 0 {
		return nil, fmt.Errorf("a rule asks for a token of %q, whom the policy does not trust", rule.Token.Issuer)
	}
	return d, nil
}
