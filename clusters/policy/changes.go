package policy

// Changes says how a change of policy or trust is distributed.
type Changes struct {
	Withhold      bool `json:"withhold,omitempty"`      // the control plane acknowledges a change and does not send it
	KeepStreams   bool `json:"keepStreams,omitempty"`   // connections that were open before a change stay open
	RootInOneStep bool `json:"rootInOneStep,omitempty"` // a root is replaced without an overlapping bundle
}

// changeMistakes are the misconfigurations of Changes and Logging.
func changeMistakes() []Misconfiguration {
	return []Misconfiguration{{
		Name: "withhold-policy-changes",
		Doc: "The control plane accepts a change, reports success and does not send it. " +
			"Istio: istiod scaled to zero, or a push that is throttled forever. " +
			"Linkerd: the policy controller is down. Consul: servers without a leader, so that proxies keep their configuration.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Changes.Withhold = true },
	}, {
		Name: "keep-open-streams",
		Doc: "Connections that were open before a permission was removed stay open. " +
			"Istio and Consul: a rule in a listener applies to new connections. Old ones live until the drain ends, " +
			"or forever without a drain. Linkerd: closes them, unless the port is skipped.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Changes.KeepStreams = true },
	}, {
		Name: "swap-root-in-one-step",
		Doc: "The root is replaced without a bundle that has both, so that workloads with the old and the new root refuse each other. " +
			"Istio: cacerts replaced without a combined root. Linkerd: the trust anchor replaced without a bundle. " +
			"Consul: a CA provider changed with ForceWithoutCrossSigning.",
		Scope: ScopeControlPlane,
		Apply: func(p *Policy) { p.Changes.RootInOneStep = true },
	}, {
		Name: "no-policy-audit",
		Doc: "Workloads that no policy selects go unnoticed. " +
			"Istio: istioctl analyze is not run. Linkerd: the default policy is not listed. Consul: intentions are not reviewed.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Logging.NoAudit = true },
	}, {
		Name: "no-source-address",
		Doc: "The access log lacks the caller's address, so that a stolen identity cannot be told from its owner. " +
			"Istio: an accessLogFormat without DOWNSTREAM_REMOTE_ADDRESS. Linkerd: no access log, which is its default. " +
			"Consul: a JSONFormat of accessLogs without it.",
		Scope: ScopeMesh,
		Apply: func(p *Policy) { p.Logging.NoAddress = true },
	}}
}
