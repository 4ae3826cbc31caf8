package policy

// Fetching says who may have the control plane fetch something, and from where
// it does. The zero value is nobody, and from no private address.
type Fetching struct {
	Tenant  bool   `json:"tenant,omitempty"`  // the account of the cast member thief may say, in its own namespace, where the keys of an issuer are
	Issuer  string `json:"issuer,omitempty"`  // the cast member whose own address is fetched from all the same, as an issuer inside of the network has it
	Private bool   `json:"private,omitempty"` // every private address is fetched from, but for link-local ones
}

// fetchingMistakes are those of what a control plane fetches.
func fetchingMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "fetch-from-private-addresses",
		Doc: "The control plane fetches from whatever private address a tenant names. " +
			"Istio: BLOCKED_CIDRS_IN_JWKS_URIS without the private and loopback ranges; it is empty as it comes, and unknown before 1.29.2 and 1.28.6 (CVE-2026-41413). " +
			"Link-local addresses stay on the list here, so that no node's metadata are ever asked for. " +
			"Linkerd and Consul have nothing like it.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Fetching.Private = true },
	}}
}
