package identity

// An Endpoint is where workloads speak to their mesh's certificate authority.
type Endpoint struct {
	Protocol   string // istio or consul
	Address    string // host:port, from the range's network
	ServerName string // of its certificate; empty: it speaks plaintext
	Method     string // Consul: the auth method that logs workloads in
	Cluster    string // Istio: the id of the cluster that workloads say they are of
	Platform   string // the API of the platform that gives tokens to accounts, host:port; empty where there is none
	Identity   string // of the control plane itself, a URI; empty where it has none that could be claimed
	// Endpoints are further addresses of the control plane, host:port, from the
	// range's network, by what is behind them: EndpointXDS and so on.
	Endpoints map[string]string
	// Nodes are the names that the cast members' proxies go by at the control
	// plane, by cast name.
	Nodes map[string]string
	// Kubelet is what runs the pods that are submitted to the platform; nil
	// where nobody does.
	Kubelet *Kubelet
}

// The names of an Endpoint's Endpoints.
const (
	EndpointXDS          = "xds"           // configuration of proxies, over TLS
	EndpointXDSPlaintext = "xds-plaintext" // the same without TLS
	EndpointDebug        = "debug"         // what the control plane knows, for its operators
	EndpointMonitoring   = "monitoring"    // its measurements
	EndpointCatalog      = "catalog"       // the services that there are
)

// A Kubelet is what a pod has to say so that it is run, and is of the mesh.
type Kubelet struct {
	Image  string            // of the probe, which is its entry point
	Pull   string            // when nodes pull it: Never or IfNotPresent
	Labels map[string]string // by which a pod asks for the mesh's proxy
}
