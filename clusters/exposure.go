package clusters

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

// The names of an Endpoint's Doors.
const (
	DoorXDS          = "xds"           // configuration of proxies, over TLS
	DoorXDSPlaintext = "xds-plaintext" // the same without TLS
	DoorDebug        = "debug"         // what the control plane knows, for its operators
	DoorMonitoring   = "monitoring"    // its measurements
	DoorCatalog      = "catalog"       // the services that there are
)

// CanaryConfig is what, after a cast member's name and a slash, names the canaries that
// are in nobody's configuration but that of the member's proxy.
const CanaryConfig = "config"

// CanaryObject names, in the same way, an object that the platform has taken:
// its answer shows it as it was submitted, with an identity of the platform's own.
const CanaryObject = "object"

// Planted is an Installed that says by what things of a range can be told from
// all others, when an answer holds them.
type Planted interface {
	// Canaries are texts by the name of the thing: a cast member, which is
	// known as existing by them, NAME/config, or AuthorityName. Whoever has no
	// right to the thing has no other way to get one of its texts.
	Canaries(r Range) map[string][]string
}
