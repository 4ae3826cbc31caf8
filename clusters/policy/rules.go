package policy

// A Rule allows requests. An empty list means any.
type Rule struct {
	From    []string `json:"from,omitempty"` // cast names; "*" is any proven identity; empty is anybody, proven or not
	To      string   `json:"to"`             // a cast name
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths,omitempty"` // exact, after the proxy's normalisation
	Ports   []int    `json:"ports,omitempty"`
	Token   *Claim   `json:"token,omitempty"` // a verified token is required too
	// AccountOnly matches From by account name in any namespace, a known mistake.
	AccountOnly bool `json:"accountOnly,omitempty"`
}

// A Claim is what a rule demands of a verified token.
type Claim struct {
	Issuer  string `json:"issuer,omitempty"`  // name of an issuer; empty is any that the policy trusts
	Subject string `json:"subject,omitempty"` // cast name whose SPIFFE ID the token was issued to; empty is any
}

// callerMistakes are the misconfigurations of who may call.
func callerMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "allow-any-principal",
		Doc: "Any identity may call: authentication is mistaken for authorization. " +
			`Istio: principals: ["*"]. Linkerd: identities: ["*"]. Consul: an intention from "*".`,
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) {
			if len(r.From) > 0 { // a rule without callers already allows more than this
				r.From = []string{Anyone}
			}
		}),
	}, {
		Name: "allow-anybody",
		Doc: "The rule names no caller, so that anyone the transport accepts may call. " +
			"Istio: a rule without from. Linkerd: NetworkAuthentication 0.0.0.0/0. Consul: default intention allow.",
		Scope: ScopeRange,
		Apply: eachRule(anybody),
	}, {
		Name: "match-account-only",
		Doc: "The rule compares the caller's account name and ignores its namespace. " +
			`Istio: principals: ["*/sa/web"]. ` +
			"Linkerd: not possible, because only the start of an identity may be a wildcard. " +
			"Consul: the community edition's service identity has no Kubernetes namespace at all.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.AccountOnly = true }),
	}, {
		Name: "no-policy",
		Doc: "There is no rule, as after a fresh install. No workload is selected, so every call is allowed. Mutual TLS stays. " +
			"Istio: no AuthorizationPolicy and no RequestAuthentication. " +
			"Linkerd: default policy all-authenticated. Consul: default_intention_policy allow.",
		Scope: ScopeRange,
		Apply: func(p *Policy) { p.Allow, p.Open, p.Tokens = nil, true, nil },
	}, {
		Name: "accept-plaintext",
		Doc: "Plaintext is accepted beside mutual TLS, and the rule says who may not call instead of who may. " +
			"A caller without an identity passes it. " +
			"Istio: PERMISSIVE with notPrincipals or notNamespaces (ISTIO-SECURITY-2021-004). " +
			"Linkerd: all-unauthenticated. Consul: MutualTLSMode permissive.",
		Scope: ScopeRange,
		Apply: func(p *Policy) {
			p.MTLS = Permissive
			eachRule(anybody)(p)
		},
	}}
}

// requestMistakes are the misconfigurations of what may be called.
func requestMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "drop-methods",
		Doc: "The rule names no methods, so a reader may write. " +
			"Istio: to.operation without methods. Linkerd: HTTPRoute matches without method. Consul: permissions without methods.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Methods = nil }),
	}, {
		Name: "drop-paths",
		Doc: "The rule names no paths, so a caller of one route reaches all. " +
			"Istio: to.operation without paths. Linkerd: an HTTPRoute for /. Consul: permissions without pathExact.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Paths = nil }),
	}, {
		Name: "drop-ports",
		Doc: "The rule names no ports, so undeclared ports are reachable too. " +
			"Istio: to.operation without ports. Linkerd: an undeclared port gets the default policy all-unauthenticated. " +
			"Consul: the intention covers the service, whatever its port.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Ports = nil }),
	}}
}

func anybody(r *Rule) { r.From = nil }

func eachRule(change func(*Rule)) func(*Policy) {
	return func(p *Policy) {
		for i := range p.Allow {
			change(&p.Allow[i])
		}
	}
}

func eachClaim(change func(*Claim)) func(*Policy) {
	return eachRule(func(r *Rule) {
		if r.Token != nil {
			change(r.Token)
		}
	})
}
