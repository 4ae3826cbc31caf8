package policy

// Issuance says how an authority decides whom it gives leaves to. The zero
// value is as hard as the mesh can be made.
type Issuance struct {
	OtherAudiences bool `json:"otherAudiences,omitempty"` // tokens for the platform's own API and for others are taken as well
	Forwarded      bool `json:"forwarded,omitempty"`      // whoever calls may say in a header whose certificate they saw
	Impersonation  bool `json:"impersonation,omitempty"`  // an ordinary workload is trusted as a node's proxy
	LongLives      bool `json:"longLives,omitempty"`      // months are granted
	AnyService     bool `json:"anyService,omitempty"`     // every service may be asked for, also by who did not log in
	MintTokens     bool `json:"mintTokens,omitempty"`     // an ordinary account may ask the platform for tokens of others
	Unbound        bool `json:"unbound,omitempty"`        // account tokens do not end with their pod
	Extended       bool `json:"extended,omitempty"`       // account tokens live for a year, whatever was asked for
	KeepAccounts   bool `json:"keepAccounts,omitempty"`   // what is gone is not deleted
	NoRecord       bool `json:"noRecord,omitempty"`       // nothing is written down about what is issued
}

// issuanceMistakes are those of who is given leaves.
func issuanceMistakes() []Misconfiguration {
	issuance := func(name, doc string, scope Scope, make func(*Issuance)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Issuance) }}
	}
	return []Misconfiguration{
		issuance("accept-other-audiences",
			"Tokens that were issued for others, for the platform's API as every application has one or for a vault, are taken by the authority as well. "+
				"Istio: more than istio-ca in TOKEN_AUDIENCES of istiod. Linkerd: always, by its fallback to a review without audience. "+
				"Consul: the API's always, for the kubernetes auth method asks for no audience; others by a jwt auth method with too many in BoundAudiences.",
			ScopeControlPlane, func(i *Issuance) { i.OtherAudiences = true }),
		issuance("trust-forwarded-certificate",
			"The authority believes a header about whose certificate somebody in front of it saw, from too many addresses. "+
				"Istio: TRUSTED_GATEWAY_CIDR with the range of the pods. Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(i *Issuance) { i.Forwarded = true }),
		issuance("trust-workload-as-node",
			"An ordinary account may ask for the identities of all that run on its node. "+
				"Istio: an application's account in CA_TRUSTED_NODE_ACCOUNTS, as for a home-made node proxy. Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(i *Issuance) { i.Impersonation = true }),
		issuance("grant-long-lives",
			"Whoever asks for a leaf of months or years is given one. "+
				"Istio: a large MAX_WORKLOAD_CERT_TTL; its default is 2160h. Linkerd: issuanceLifetime in months. Consul: leaf_cert_ttl in months.",
			ScopeControlPlane, func(i *Issuance) { i.LongLives = true }),
		issuance("write-any-service",
			"Whoever logs in, or does not, may register, and be, every service. "+
				`Consul: service_prefix "" with policy write for the anonymous token and for all who log in. Istio and Linkerd have nothing like it.`,
			ScopeControlPlane, func(i *Issuance) { i.AnyService = true }),
		issuance("grant-token-create",
			"An ordinary account may create tokens of other accounts, which is to be them. "+
				"Istio, Linkerd and Consul alike: a Role with create on serviceaccounts/token, as operators of secrets and pipelines ask for.",
			ScopeRange, func(i *Issuance) { i.MintTokens = true }),
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
