package policy

// Changes says how a change of policy or trust travels.
type Changes struct {
	Withhold      bool `json:"withhold,omitempty"`      // the control plane acknowledges and sends nothing
	KeepStreams   bool `json:"keepStreams,omitempty"`   // what was open before a revocation stays open
	RootInOneStep bool `json:"rootInOneStep,omitempty"` // a root is swapped with no overlapping bundle
}

func changeMistakes() []Misconfiguration {
	return []Misconfiguration{{
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
