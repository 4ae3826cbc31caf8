package identity

// An Endpoint is where workloads speak to their mesh's certificate authority
// and control plane. attacker.Authority has the same fields, of the same types
// and in the same order, and says what they mean to an attack; the runner
// converts one into the other.
type Endpoint struct {
	Protocol   string            // how the authority is asked: the name of the mesh's wire protocol
	Address    string            // host:port, from the range's network
	ServerName string            // of its certificate; empty: it speaks plaintext
	Parameters map[string]string // what else the wire protocol has to know, by its own names
	Platform   string            // the API of the platform that gives tokens to accounts, host:port; empty where there is none
	Identity   string            // of the control plane itself; empty where it has none that could be claimed
	// Endpoints are further addresses of the control plane, host:port, from the
	// range's network, by what is behind them: EndpointXDS and so on.
	Endpoints map[string]string
	// Nodes are the names that the cast members' proxies go by at the control
	// plane, by cast name.
	Nodes map[string]string
	// PodImage is the image of a probe for pods that are submitted to the
	// platform. It is empty where no node runs them.
	PodImage  string
	PodPull   string            // when nodes pull it: Never or IfNotPresent
	PodLabels map[string]string // by which a pod asks for the mesh's proxy
}

// The names of an Endpoint's Endpoints.
const (
	EndpointXDS          = "xds"           // configuration of proxies, over TLS
	EndpointXDSPlaintext = "xds-plaintext" // the same without TLS
	EndpointDebug        = "debug"         // what the control plane knows, for its operators
	EndpointMonitoring   = "monitoring"    // its measurements
	EndpointCatalog      = "catalog"       // the services that there are
)
