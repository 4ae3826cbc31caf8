package policy

// Exposure says which administrative interfaces of the mesh workloads can use. The
// zero value exposes as little as the mesh allows.
type Exposure struct {
	AnyDebug     bool `json:"anyDebug,omitempty"`     // any identity may read the control plane's debug endpoints
	AnyNode      bool `json:"anyNode,omitempty"`      // the control plane believes the name that a proxy gives
	AnyConfig    bool `json:"anyConfig,omitempty"`    // every proxy may read the policies of all namespaces
	PlaintextXDS bool `json:"plaintextXds,omitempty"` // the control plane also serves configuration without TLS, to anyone
	ViewServices bool `json:"viewServices,omitempty"` // an ordinary account may list all services
	ProxyAdmin   bool `json:"proxyAdmin,omitempty"`   // a proxy's admin interface is reachable from outside
}

// exposureMistakes are the misconfigurations of Exposure.
func exposureMistakes() []Misconfiguration {
	exposure := func(name, doc string, scope Scope, make func(*Exposure)) Misconfiguration {
		return Misconfiguration{Name: name, Doc: doc, Scope: scope, Apply: func(p *Policy) { make(&p.Exposure) }}
	}
	return []Misconfiguration{
		exposure("debug-for-everybody",
			"Any identity may read what the control plane knows about all namespaces. "+
				"Istio: ENABLE_DEBUG_ENDPOINT_AUTH=false, and every release before that check (CVE-2026-31838). "+
				"Linkerd and Consul have no equivalent.",
			ScopeControlPlane, func(e *Exposure) { e.AnyDebug = true }),
		exposure("believe-node-name",
			"The control plane gives a proxy the configuration of the name it asks for, and ignores the identity it proved. "+
				"Istio: PILOT_ENABLE_XDS_IDENTITY_CHECK=false. Linkerd: its policy controller requires no identity. "+
				"Consul: a token with service:write on every service.",
			ScopeControlPlane, func(e *Exposure) { e.AnyNode = true }),
		exposure("policies-for-every-proxy",
			"Every proxy may read the policies of all namespaces, as another control plane may. "+
				"Istio: ENABLE_XDS_API_GENERATOR_AUTH=false, and every release before that check. "+
				"Linkerd and Consul have no equivalent.",
			ScopeControlPlane, func(e *Exposure) { e.AnyConfig = true }),
		exposure("plaintext-xds",
			"The control plane also serves proxy configuration without TLS and without a credential. "+
				`Istio: port 15010, which is open unless istiod is started with --grpcAddr="". `+
				"Linkerd: its policy and destination services. Consul: ports.grpc with ACLs that default to allow.",
			ScopeControlPlane, func(e *Exposure) { e.PlaintextXDS = true }),
		exposure("view-for-workloads",
			"An ordinary account may list all services and their addresses. "+
				"Istio, Linkerd and Consul: the role view, or a wider one, is bound to an application's account.",
			ScopeRange, func(e *Exposure) { e.ViewServices = true }),
		exposure("lead-to-proxy-admin",
			"Traffic from outside reaches the proxy's admin port. "+
				"Istio: an admin interface that listens on 0.0.0.0, or a Sidecar with the defaultEndpoint 127.0.0.1:15000. "+
				"Linkerd: port 4191 answers every pod. Consul: envoy_prometheus_bind_addr, or a local app at 127.0.0.1:19000.",
			ScopeRange, func(e *Exposure) { e.ProxyAdmin = true }),
	}
}
