package policy

// Tokens says which bearer tokens the targets verify.
type Tokens struct {
	At             []string `json:"at,omitempty"`       // workloads; the rules' targets if empty
	Issuers        []string `json:"issuers"`            // names of issuers
	Audience       string   `json:"audience,omitempty"` // empty accepts any audience
	PublishHMACKey bool     `json:"publishHmacKey,omitempty"`
	// IgnoreExpiry widens the accepted clock skew to a day.
	IgnoreExpiry bool `json:"ignoreExpiry,omitempty"`
	// Optional lets requests without a valid token pass on the other parts of the rule.
	Optional bool `json:"optional,omitempty"`
}

// tokenMistakes are the misconfigurations of Tokens.
func tokenMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "accept-token-alone",
		Doc: "A valid token is enough, whoever sends it. A bearer token is not bound to the workload it was issued to. " +
			"Istio: requestPrincipals without principals. Consul: jwt in an intention from \"*\". Linkerd: the application checks only the token.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) {
			if r.Token != nil {
				anybody(r)
			}
		}),
	}, {
		Name: "optional-token",
		Doc: "An invalid token is refused, but a request without a token passes. " +
			"Istio: RequestAuthentication without an AuthorizationPolicy that requires requestPrincipals (ISTIO-SECURITY-2021-001). " +
			"Consul: a jwt-provider that no intention requires.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Token = nil }),
	}, {
		Name: "no-token-check",
		Doc: "The mesh does not verify tokens, and relies on the application. " +
			"Istio: no RequestAuthentication. Consul: no jwt-provider. Linkerd: always.",
		Scope: ScopeRange,
		Apply: func(p *Policy) {
			p.Tokens = nil
			eachRule(func(r *Rule) { r.Token = nil })(p)
		},
	}, {
		Name: "publish-hmac-key",
		Doc: "The key set has an oct key whose value is the text of the public key, so that anyone who knows the public key can sign tokens. " +
			"Istio: jwks or jwksUri with an oct key. Consul: the same in a jwt-provider's JSONWebKeySet.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.PublishHMACKey = true }),
	}, {
		Name: "ignore-token-expiry",
		Doc: "The allowed clock skew is so large that an expired token still passes. " +
			"Envoy: clock_skew_seconds. Consul: ClockSkewSeconds of a jwt-provider. Istio: an EnvoyFilter on jwt_authn.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.IgnoreExpiry = true }),
	}, {
		Name: "ignore-audience",
		Doc: "A token for another service passes. " +
			"Istio: jwtRules without audiences. Consul: a jwt-provider without Audiences.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.Audience = "" }),
	}, {
		Name: "any-trusted-issuer",
		Doc: "The rule checks the subject and not the issuer, so any trusted issuer may name that subject. " +
			"Istio: when request.auth.claims[sub] without requestPrincipals or request.auth.claims[iss]. " +
			"Consul: verify_claims on sub under several providers.",
		Scope: ScopeRange,
		Apply: eachClaim(func(c *Claim) { c.Issuer = "" }),
	}, {
		Name: "any-token-subject",
		Doc: "Any token of the issuer passes, whatever its subject. " +
			`Istio: requestPrincipals: ["<issuer>/*"]. Consul: an intention's provider without VerifyClaims.`,
		Scope: ScopeRange,
		Apply: eachClaim(func(c *Claim) { c.Subject = "" }),
	}}
}

func tokens(change func(*Tokens)) func(*Policy) {
	return func(p *Policy) {
		if p.Tokens != nil {
			change(p.Tokens)
		}
	}
}
