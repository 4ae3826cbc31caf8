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

// trustMistakes are the misconfigurations of Trust.
func trustMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "accept-expired-certificates",
		Doc: "Certificates are accepted after they expire, for example since an outage caused by an expired one. " +
			"Envoy: allow_expired_certificate, set by an EnvoyFilter in Istio and by an escape hatch in Consul. Linkerd: a clock set back.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Trust.AcceptExpired = true },
	}, {
		Name: "trust-forged-root",
		Doc: "The bundle contains a root that was never vetted. " +
			"Istio: meshConfig.caCertificates. Linkerd: linkerd-identity-trust-roots. Consul: the root of an old CA provider that was not removed.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) {
			if !slices.Contains(p.Trust.ExtraRoots, RootForged) {
				p.Trust.ExtraRoots = append(p.Trust.ExtraRoots, RootForged)
			}
		},
	}, {
		Name: "optional-client-certificate",
		Doc: "A TLS caller needs no certificate, and the rule does not check the caller. " +
			"Envoy: require_client_certificate false, as in Istio's gateways with mode SIMPLE. " +
			"Linkerd: accepts a TLS client without a certificate, by design. Consul: a TLS listener without verify_incoming.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) {
			p.Trust.OptionalCertificate = true
			eachRule(anybody)(p)
		},
	}, {
		Name: "accept-any-trust-domain",
		Doc: "Any identity under a trusted root passes, whatever its trust domain. " +
			"Istio: PILOT_SKIP_VALIDATE_TRUST_DOMAIN or trustDomainAliases with a wildcard principal. " +
			`Linkerd: identities: ["*"]. Consul: servers that match the trust domain as [^/]+.`,
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Trust.AnyTrustDomain = true },
	}}
}
