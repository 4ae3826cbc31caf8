package policy

// Issuance says how the certificate authority decides who gets a leaf certificate.
// The zero value is as strict as the mesh allows.
type Issuance struct {
	OtherAudiences bool `json:"otherAudiences,omitempty"` // tokens for the platform's API and for other audiences are accepted too
	Forwarded      bool `json:"forwarded,omitempty"`      // any caller may name, in a header, the certificate it saw
	Impersonation  bool `json:"impersonation,omitempty"`  // an ordinary workload is trusted as a node's proxy
	LongLives      bool `json:"longLives,omitempty"`      // lifetimes of months are granted
	AnyService     bool `json:"anyService,omitempty"`     // anyone may request any service's certificate, even without a login
	MintTokens     bool `json:"mintTokens,omitempty"`     // an ordinary account may request tokens of other accounts
	Unbound        bool `json:"unbound,omitempty"`        // account tokens do not end with their pod
	Extended       bool `json:"extended,omitempty"`       // account tokens live for a year, whatever was requested
	KeepAccounts   bool `json:"keepAccounts,omitempty"`   // objects of pods and accounts that are gone are not deleted
	NoRecord       bool `json:"noRecord,omitempty"`       // issued certificates are not logged
}

// issuanceMistakes are the misconfigurations of Issuance.
func issuanceMistakes() []Misconfiguration {
	issuance := func(name, doc string, scope Scope, make func(*Issuance)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Issuance) }}
	}
	return []Misconfiguration{
		issuance("accept-other-audiences",
			"The certificate authority also accepts tokens for other audiences, such as the platform API, for which every application has one, or a vault. "+
				"Istio: more than istio-ca in TOKEN_AUDIENCES of istiod. Linkerd: always, because it falls back to a review without an audience. "+
				"Consul: always for the API, because the kubernetes auth method requests no audience; for others, a jwt auth method with too many BoundAudiences.",
			ScopeControlPlane, func(i *Issuance) { i.OtherAudiences = true }),
		issuance("trust-forwarded-certificate",
			"The certificate authority believes a forwarded-certificate header from too many addresses. "+
				"Istio: TRUSTED_GATEWAY_CIDR contains the pod range. Linkerd and Consul have no equivalent.",
			ScopeControlPlane, func(i *Issuance) { i.Forwarded = true }),
		issuance("trust-workload-as-node",
			"An ordinary account may request the identities of all workloads on its node. "+
				"Istio: an application's account in CA_TRUSTED_NODE_ACCOUNTS, for example for a custom node proxy. Linkerd and Consul have no equivalent.",
			ScopeControlPlane, func(i *Issuance) { i.Impersonation = true }),
		issuance("grant-long-lives",
			"The certificate authority grants lifetimes of months or years. "+
				"Istio: a large MAX_WORKLOAD_CERT_TTL (default 2160h). Linkerd: issuanceLifetime in months. Consul: leaf_cert_ttl in months.",
			ScopeControlPlane, func(i *Issuance) { i.LongLives = true }),
		issuance("write-any-service",
			"Anyone may register as any service, with or without a login. "+
				`Consul: service_prefix "" with policy write for the anonymous token and for every login. Istio and Linkerd have no equivalent.`,
			ScopeControlPlane, func(i *Issuance) { i.AnyService = true }),
		issuance("grant-token-create",
			"An ordinary account may create tokens of other accounts, and so act as them. "+
				"Istio, Linkerd and Consul: a Role with create on serviceaccounts/token, as secret operators and pipelines request.",
			ScopeRange, func(i *Issuance) { i.MintTokens = true }),
		issuance("unbound-account-tokens",
			"Account tokens are not bound to their pod, and outlive it. "+
				"Istio, Linkerd and Consul: kubectl create token without --bound-object-kind, as in many pipelines.",
			ScopeRange, func(i *Issuance) { i.Unbound = true }),
		issuance("extend-account-tokens",
			"A token that was requested for an hour lives for a year. "+
				"Istio, Linkerd and Consul: kube-apiserver's --service-account-extend-token-expiration, on by default, for the tokens that applications get.",
			ScopeMesh, func(i *Issuance) { i.Extended = true }),
		issuance("keep-deleted-accounts",
			"Pods and accounts that are no longer used are not deleted. "+
				"Istio, Linkerd and Consul: an account is an identity as long as it exists.",
			ScopeRange, func(i *Issuance) { i.KeepAccounts = true }),
		issuance("no-issuance-record",
			"Issued certificates are not logged. "+
				"Istio: istiod's log at its default level, where the scope serverca is info. Linkerd: events that are not kept. Consul: log_level warn, without an audit log.",
			ScopeControlPlane, func(i *Issuance) { i.NoRecord = true }),
	}
}
