package policy

// Fetching says who may make the control plane fetch something, and from which
// addresses. The zero value allows nobody, and no private address.
type Fetching struct {
	Tenant  bool   `json:"tenant,omitempty"`  // thief's account may set, in its own namespace, where an issuer's keys are fetched from
	Issuer  string `json:"issuer,omitempty"`  // the workload whose private address is allowed, as for an issuer inside the network
	Private bool   `json:"private,omitempty"` // every private address is allowed, except link-local ones
}

// fetchingMistakes are the misconfigurations of Fetching.
func fetchingMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "fetch-from-private-addresses",
		Doc: "The control plane fetches from any private address that a tenant names. " +
			"Istio: BLOCKED_CIDRS_IN_JWKS_URIS without the private and loopback ranges. It is empty by default and does not exist before 1.29.2 and 1.28.6 (CVE-2026-41413). " +
			"This misconfiguration keeps link-local addresses blocked, so that no node's metadata is ever requested. " +
			"Linkerd and Consul have no equivalent.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Fetching.Private = true },
	}}
}
