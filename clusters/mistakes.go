package clusters

import "slices"

// RootForged is the name in Range.Roots of the attacker's own root.
const RootForged = "forged"

func callerMistakes() []Weakening {
	return []Weakening{{
		Name: "allow-any-principal",
		Doc: "Whoever has proved an identity may call: authentication taken for authorization. " +
			`Istio: principals: ["*"]. Linkerd: identities: ["*"]. Consul: an intention from "*".`,
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) {
			if len(r.From) > 0 { // who named nobody allows more than this already
				r.From = []string{Anyone}
			}
		}),
	}, {
		Name: "allow-anybody",
		Doc: "A rule that names no caller: whoever the transport lets in may call. " +
			"Istio: a rule without from. Linkerd: NetworkAuthentication 0.0.0.0/0. Consul: default intention allow.",
		Scope: ScopeRange,
		Apply: eachRule(anybody),
	}, {
		Name: "match-account-only",
		Doc: "The caller's account name is compared and its namespace is not. " +
			`Istio: principals: ["*/sa/web"]. ` +
			"Linkerd cannot say it: only the front of an identity may be a wildcard. " +
			"Consul: the community edition's service identity has no Kubernetes namespace at all.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.AccountOnly = true }),
	}, {
		Name: "no-policy",
		Doc: "Mutual TLS as it is and no rule, as after a bare install: no target is selected, so all is allowed. " +
			"Istio: no AuthorizationPolicy and no RequestAuthentication. " +
			"Linkerd: default policy all-authenticated. Consul: default_intention_policy allow.",
		Scope: ScopeRange,
		Apply: func(p *Policy) { p.Allow, p.Open, p.Tokens = nil, true, nil },
	}, {
		Name: "accept-plaintext",
		Doc: "Plaintext is taken beside mutual TLS, and the rule says who may not call instead of who may, " +
			"so that a caller without identity passes it. " +
			"Istio: PERMISSIVE with notPrincipals or notNamespaces (ISTIO-SECURITY-2021-004). " +
			"Linkerd: all-unauthenticated. Consul: MutualTLSMode permissive.",
		Scope: ScopeRange,
		Apply: func(p *Policy) {
			p.MTLS = Permissive
			eachRule(anybody)(p)
		},
	}}
}

func anybody(r *Rule) { r.From = nil }

func requestMistakes() []Weakening {
	return []Weakening{{
		Name: "drop-methods",
		Doc: "The rule does not name methods, so a reader may write. " +
			"Istio: to.operation without methods. Linkerd: HTTPRoute matches without method. Consul: permissions without methods.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Methods = nil }),
	}, {
		Name: "drop-paths",
		Doc: "The rule does not name paths, so a caller of one route reaches all. " +
			"Istio: to.operation without paths. Linkerd: an HTTPRoute for /. Consul: permissions without pathExact.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Paths = nil }),
	}, {
		Name: "drop-ports",
		Doc: "The rule does not name ports, so ports that were never declared are reached as well. " +
			"Istio: to.operation without ports. Linkerd: an undeclared port falls to the default policy all-unauthenticated. " +
			"Consul: the intention covers the service, whatever its port.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Ports = nil }),
	}}
}

func tokenMistakes() []Weakening {
	return []Weakening{{
		Name: "accept-token-alone",
		Doc: "A good token opens the door for whoever brings it: a bearer token is not bound to the workload it was issued to. " +
			"Istio: requestPrincipals without principals. Consul: jwt in an intention from \"*\". Linkerd: the application checks the token alone.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) {
			if r.Token != nil {
				anybody(r)
			}
		}),
	}, {
		Name: "optional-token",
		Doc: "A wrong token is refused and no token is not. " +
			"Istio: RequestAuthentication without an AuthorizationPolicy that asks for requestPrincipals (ISTIO-SECURITY-2021-001). " +
			"Consul: a jwt-provider that no intention requires.",
		Scope: ScopeRange,
		Apply: eachRule(func(r *Rule) { r.Token = nil }),
	}, {
		Name: "no-token-check",
		Doc: "Nobody in the mesh looks at tokens: the application is thought to do it. " +
			"Istio: no RequestAuthentication. Consul: no jwt-provider. Linkerd: always so.",
		Scope: ScopeRange,
		Apply: func(p *Policy) {
			p.Tokens = nil
			eachRule(func(r *Rule) { r.Token = nil })(p)
		},
	}, {
		Name: "publish-hmac-key",
		Doc: "The key set has an oct key that is the text of the public key, so that whoever knows the public key signs tokens. " +
			"Istio: jwks or jwksUri with an oct key. Consul: the same in a jwt-provider's JSONWebKeySet.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.PublishHMACKey = true }),
	}, {
		Name: "ignore-token-expiry",
		Doc: "So much clock skew is allowed that an expired token still passes. " +
			"Envoy: clock_skew_seconds. Consul: ClockSkewSeconds of a jwt-provider. Istio: an EnvoyFilter on jwt_authn.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.IgnoreExpiry = true }),
	}, {
		Name: "ignore-audience",
		Doc: "A token that was issued for another service passes. " +
			"Istio: jwtRules without audiences. Consul: a jwt-provider without Audiences.",
		Scope: ScopeRange,
		Apply: tokens(func(t *Tokens) { t.Audience = "" }),
	}, {
		Name: "any-trusted-issuer",
		Doc: "The rule reads the subject and not the issuer, so every issuer that is trusted for anything may name it. " +
			"Istio: when request.auth.claims[sub] without requestPrincipals or request.auth.claims[iss]. " +
			"Consul: verify_claims on sub under several providers.",
		Scope: ScopeRange,
		Apply: eachClaim(func(c *Claim) { c.Issuer = "" }),
	}, {
		Name: "any-token-subject",
		Doc: "Any token of the issuer will do, whoever it was issued to. " +
			`Istio: requestPrincipals: ["<issuer>/*"]. Consul: an intention's provider without VerifyClaims.`,
		Scope: ScopeRange,
		Apply: eachClaim(func(c *Claim) { c.Subject = "" }),
	}}
}

func trustMistakes() []Weakening {
	return []Weakening{{
		Name: "accept-expired-certificates",
		Doc: "The time in a certificate is not looked at, as after an outage that a lapsed certificate made. " +
			"Envoy: allow_expired_certificate, set by an EnvoyFilter in Istio and by an escape hatch in Consul. Linkerd: a clock set back.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Trust.AcceptExpired = true },
	}, {
		Name: "trust-forged-root",
		Doc: "A root that nobody vetted is in the bundle. " +
			"Istio: meshConfig.caCertificates. Linkerd: linkerd-identity-trust-roots. Consul: an old CA provider's root that stayed.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) {
			if !slices.Contains(p.Trust.ExtraRoots, RootForged) {
				p.Trust.ExtraRoots = append(p.Trust.ExtraRoots, RootForged)
			}
		},
	}, {
		Name: "optional-client-certificate",
		Doc: "A caller over TLS need not show a certificate, and the rule does not ask who calls. " +
			"Envoy: require_client_certificate false, as in Istio's gateways with mode SIMPLE. " +
			"Linkerd: a TLS client without a certificate is taken, by design. Consul: a TLS listener without verify_incoming.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) {
			p.Trust.OptionalCertificate = true
			eachRule(anybody)(p)
		},
	}, {
		Name: "accept-any-trust-domain",
		Doc: "Any identity under a trusted root passes, of whatever trust domain. " +
			"Istio: PILOT_SKIP_VALIDATE_TRUST_DOMAIN or trustDomainAliases with a wildcard principal. " +
			`Linkerd: identities: ["*"]. Consul: servers that match the trust domain as [^/]+.`,
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Trust.AnyTrustDomain = true },
	}}
}

func changeMistakes() []Weakening {
	return []Weakening{{
		Name: "withhold-policy-changes",
		Doc: "The control plane takes a change, says that it is done and sends nothing. " +
			"Istio: istiod scaled to nothing, or a push that is throttled for ever. " +
			"Linkerd: the policy controller away. Consul: servers without a leader, so that proxies keep what they have.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Changes.Withhold = true },
	}, {
		Name: "keep-open-streams",
		Doc: "What was open before an allowance was taken away stays open. " +
			"Istio and Consul: a rule in a listener binds new connections, and old ones live until the drain ends, " +
			"for ever where there is none. Linkerd: ends them, unless the port is skipped.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Changes.KeepStreams = true },
	}, {
		Name: "swap-root-in-one-step",
		Doc: "The root is replaced with no bundle that has both, so that workloads with the old and the new one refuse each other. " +
			"Istio: cacerts replaced without a combined root. Linkerd: the trust anchor replaced without a bundle. " +
			"Consul: a CA provider changed with ForceWithoutCrossSigning.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Changes.RootInOneStep = true },
	}, {
		Name: "no-policy-audit",
		Doc: "Nobody looks for workloads that no policy selects. " +
			"Istio: istioctl analyze is not run. Linkerd: a default policy that nobody lists. Consul: intentions that nobody reviews.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Logging.NoAudit = true },
	}, {
		Name: "no-source-address",
		Doc: "The access log has no caller's address, so that nobody can tell a stolen identity from its owner. " +
			"Istio: an accessLogFormat without DOWNSTREAM_REMOTE_ADDRESS. Linkerd: no access log, which is its default. " +
			"Consul: a JSONFormat of accessLogs without it.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Logging.NoAddress = true },
	}}
}
