package policy

// Exposure says what of its administration a mesh shows to workloads. The zero
// value is as closed as the mesh can be made.
type Exposure struct {
	AnyDebug     bool `json:"anyDebug,omitempty"`     // whoever proved an identity may read the control plane's debugging paths
	AnyNode      bool `json:"anyNode,omitempty"`      // a proxy is whose it says it is
	AnyConfig    bool `json:"anyConfig,omitempty"`    // every proxy may read the policies of all
	PlaintextXDS bool `json:"plaintextXds,omitempty"` // configuration is also given without TLS, to whom nobody knows
	ViewServices bool `json:"viewServices,omitempty"` // an ordinary account may list all services
	ProxyAdmin   bool `json:"proxyAdmin,omitempty"`   // the administration of a proxy is led to from outside
}

// exposureMistakes are those of what a control plane and proxies show.
func exposureMistakes() []Misconfiguration {
	exposure := func(name, doc string, scope Scope, make func(*Exposure)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Exposure) }}
	}
	return []Misconfiguration{
		exposure("debug-for-everybody",
			"Whoever proved any identity may read what the control plane knows of all namespaces. "+
				"Istio: ENABLE_DEBUG_ENDPOINT_AUTH=false, and every release before that check (CVE-2026-31838). "+
				"Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(e *Exposure) { e.AnyDebug = true }),
		exposure("believe-node-name",
			"A proxy is given the configuration of whose it says it is, whoever it proved to be. "+
				"Istio: PILOT_ENABLE_XDS_IDENTITY_CHECK=false. Linkerd: its policy controller asks for no identity. "+
				"Consul: a token with service:write on every service.",
			ScopeControlPlane, func(e *Exposure) { e.AnyNode = true }),
		exposure("policies-for-every-proxy",
			"Every proxy may read the policies of all namespaces, as if it were another control plane. "+
				"Istio: ENABLE_XDS_API_GENERATOR_AUTH=false, and every release before that check. "+
				"Linkerd and Consul have nothing like it.",
			ScopeControlPlane, func(e *Exposure) { e.AnyConfig = true }),
		exposure("plaintext-xds",
			"Proxies' configuration is also given without TLS and without a credential. "+
				`Istio: port 15010, which is open unless istiod is started with --grpcAddr="". `+
				"Linkerd: its policy and destination services. Consul: ports.grpc with ACLs that default to allow.",
			ScopeControlPlane, func(e *Exposure) { e.PlaintextXDS = true }),
		exposure("view-for-workloads",
			"An ordinary account may list all services and where they are. "+
				"Istio, Linkerd and Consul alike: a binding of view, or of something wider, to an application's account.",
			ScopeRange, func(e *Exposure) { e.ViewServices = true }),
		exposure("lead-to-proxy-admin",
			"What comes from outside for a port of the proxy's administration is led to it. "+
				"Istio: an administration that listens on 0.0.0.0, or a Sidecar with the defaultEndpoint 127.0.0.1:15000. "+
				"Linkerd: port 4191 answers every pod. Consul: envoy_prometheus_bind_addr, or a local app at 127.0.0.1:19000.",
			ScopeRange, func(e *Exposure) { e.ProxyAdmin = true }),
	}
}
