package clusters

// issuanceMistakes are those of who is given leaves.
func issuanceMistakes() []Weakening {
	issuance := func(name, doc string, scope Scope, make func(*Issuance)) Weakening {
		return Weakening{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Issuance) }}
	}
	return []Weakening{
		issuance("accept-api-audience",
			"The token that every application has for the platform's API is taken by the authority as well. "+
				"Istio: the API's audience in TOKEN_AUDIENCES of istiod. Linkerd: always, by its fallback to a review without audience. "+
				"Consul: always, the kubernetes auth method asks for no audience.",
			ScopeControlPlane, func(i *Issuance) { i.APIAudience = true }),
		issuance("trust-forwarded-certificate",
			"The authority believes a header about whose certificate somebody in front of it saw, from too many addresses. "+
				"Istio: TRUSTED_GATEWAY_CIDR with the range of the pods. Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(i *Issuance) { i.Forwarded = true }),
		issuance("trust-workload-as-node",
			"An ordinary account may ask for the identities of all that run on its node. "+
				"Istio: an application's account in CA_TRUSTED_NODE_ACCOUNTS, as for a home-made node proxy. Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(i *Issuance) { i.Impersonation = true }),
		issuance("grant-long-lives",
			"Whoever asks for a leaf of three months is given one. "+
				"Istio: MAX_WORKLOAD_CERT_TTL left at its default of 2160h. Linkerd: issuanceLifetime in months. Consul: leaf_cert_ttl in months.",
			ScopeControlPlane, func(i *Issuance) { i.LongLives = true }),
		issuance("write-any-service",
			"Whoever logs in may register, and be, every service. "+
				`Consul: a role with service_prefix "" and policy write bound to the auth method. Istio and Linkerd have nothing like it.`,
			ScopeControlPlane, func(i *Issuance) { i.AnyService = true }),
		issuance("unbound-account-tokens",
			"Tokens of accounts are issued without the pod that they are for, and so outlive it. "+
				"Istio, Linkerd and Consul alike: kubectl create token without --bound-object-kind, as in many pipelines.",
			ScopeRange, func(i *Issuance) { i.Unbound = true }),
		issuance("extend-account-tokens",
			"A token that was asked for an hour lives for a year. "+
				"Istio, Linkerd and Consul alike: --service-account-extend-token-expiration, the default of kube-apiserver, for tokens that applications get.",
			ScopeMesh, func(i *Issuance) { i.Extended = true }),
		issuance("keep-deleted-accounts",
			"What is thought to be gone is still there: nobody deletes pods' and accounts' objects. "+
				"Istio, Linkerd and Consul alike: an account is an identity for as long as it exists.",
			ScopeRange, func(i *Issuance) { i.KeepAccounts = true }),
		issuance("no-issuance-record",
			"Nothing is written down about the certificates that are issued. "+
				"Istio: istiod's log at its default level, where the scope serverca is info. Linkerd: events that nobody keeps. Consul: log_level warn, without an audit log.",
			ScopeControlPlane, func(i *Issuance) { i.NoRecord = true }),
	}
}
