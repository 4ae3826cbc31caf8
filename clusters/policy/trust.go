package policy

import "slices"

// RootForged is the name in Range.Roots of the attacker's own root.
const RootForged = "forged"

// Trust says how certificates are verified.
type Trust struct {
	AcceptExpired  bool     `json:"acceptExpired,omitempty"`
	AnyTrustDomain bool     `json:"anyTrustDomain,omitempty"`
	ExtraRoots     []string `json:"extraRoots,omitempty"` // names in Range.Roots
	// OptionalCertificate serves callers over TLS that show no certificate.
	OptionalCertificate bool `json:"optionalCertificate,omitempty"`
}

func trustMistakes() []Misconfiguration {
	return []Misconfiguration{{
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
