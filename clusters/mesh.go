package clusters

import (
	"context"
	"time"
)

// A Capability is something that a mesh can do; attempts name what they need.
type Capability string

// The capabilities that scenarios ask for.
const (
	CanAuthorize Capability = "authorize"      // rules by identity, method, path, port
	CanTokens    Capability = "tokens"         // bearer tokens are verified
	CanRotate    Capability = "rotate"         // leaves and roots are changed by the fixture
	CanSignal    Capability = "signal"         // proxies report what they refuse
	CanWithhold  Capability = "withhold"       // the control plane can be made to lie
	CanShortLive Capability = "short-lifetime" // leaves of a few seconds
	// CanSignAccounts is for account tokens with a life that the platform would
	// not grant, which takes its key.
	CanSignAccounts Capability = "sign-account-tokens"
	// CanAudit is for the platform's own log, where alone its refusals are seen.
	CanAudit Capability = "platform-log"
)

// A Release is a version of a mesh, with the programs that it runs.
type Release struct {
	Version  string            `json:"version"`
	Programs map[string]string `json:"-"` // path by name
	// Proxy says which proxy judges, with its version and build; empty where
	// nobody knows.
	Proxy string `json:"proxy,omitempty"`
	// On Kubernetes a mesh runs from images and is installed by its charts.
	Hub    string `json:"-"` // registry and folder of its images; the charts' own when empty
	Tag    string `json:"-"` // of its images; the charts' own when empty
	Charts string `json:"-"` // a folder, or the address of a chart repository; those that come with meshbreach when empty
	// Note, which may be nil, is told what was not as it should be while the mesh
	// was installed, and did not keep it from being installed.
	Note func(string) `json:"-"`
}

// A Mesh is a kind of mesh.
type Mesh interface {
	Name() string
	Capabilities(Release) []Capability
	// Render is pure: what the mesh's objects would be for this policy.
	Render(Range, Policy) ([]Object, error)
	// Install makes the mesh run on a cluster and gives every meshed workload
	// its proxy.
	Install(ctx context.Context, c *Cluster, r Release) (Installed, error)
}

// A Redirecting mesh has rules of its own that redirect traffic to its proxies.
// They spare a proxy by its user, so they take root.
type Redirecting interface {
	Mesh
	// OwnRules is the mesh with these rules in place of the provider's.
	OwnRules() Mesh
}

// A Threaded mesh has proxies with several worker threads. A change reaches
// these at different moments.
type Threaded interface {
	Mesh
	// WithWorkers is the mesh whose proxies have n of them each.
	WithWorkers(n int) Mesh
}

// An Object is one rendered piece of configuration.
type Object struct {
	Workload string // whose proxy it is for; empty: everybody's
	Kind     string
	Name     string
	Body     []byte // JSON, stable
}

// Installed is a mesh that runs.
type Installed interface {
	// Apply asks for a policy. It returns at once; see Settled.
	Apply(ctx context.Context, r Range, p Policy) (Revision, error)
	// Settled returns when the active configuration of every proxy of the
	// range is the revision's, nothing is warming and nothing is draining.
	// Running out of time is an error that says what is missing.
	Settled(ctx context.Context, r Range, rev Revision) error
	// Evidence returns the signals that match, as Query says.
	Evidence(ctx context.Context, r Range, q Query) ([]Signal, error)
	Authority(Range) Authority
}

// Proven is an Installed that knows better than its Mesh what it can do, since
// that depends on where it runs.
type Proven interface {
	Capabilities() []Capability
}

// Patient is an Installed whose changes may take long where it runs.
type Patient interface {
	// Patience is how long one change may take until it has settled.
	Patience() time.Duration
}

// An Authority is the fixture's power over a range's identities. It is never
// the attacker's.
type Authority interface {
	// Leaf mints a leaf.
	Leaf(ctx context.Context, q LeafRequest) (KeyPair, error)
	// Delivered is a workload's leaf and key exactly as last delivered.
	Delivered(ctx context.Context, w Workload) (KeyPair, error)
	// Token signs a bearer token.
	Token(ctx context.Context, q TokenRequest) (string, error)
	// Rotate changes leaves or roots and asks the mesh to deliver them.
	Rotate(ctx context.Context, what Rotation) (Revision, error)
}

// KeyPair is a certificate chain and a private key, PEM. Secret: it has no
// text form.
type KeyPair struct {
	Chain, Key []byte
}

// String hides the key.
func (KeyPair) String() string { return "(key pair)" }

// GoString hides the key.
func (KeyPair) GoString() string { return "(key pair)" }

// A LeafRequest asks for a leaf. Zero fields are as the mesh would issue it.
type LeafRequest struct {
	Workload            Workload
	NotBefore, NotAfter time.Time
	Forged              bool   // signed by the attacker's own root
	TrustDomain         string // another trust domain in the URI
}

// A TokenRequest asks for a bearer token. Zero fields are as the issuer would
// write it.
type TokenRequest struct {
	Subject  Workload
	Issuer   string    // name in Range.Issuers, or any text for an unknown one
	Audience string    // "bank" when empty
	Expires  time.Time // in 5 minutes when zero
	Starts   time.Time // now when zero
	Key      string    // "", attacker, public-as-hmac
	Kid      string
	Alg      string         // "" or none
	Header   map[string]any // extra header fields
	Tamper   map[string]any // claims changed under the old signature
}

// A Rotation is a change of identities.
type Rotation string

// The rotations.
const (
	RotateLeaf   Rotation = "leaf"      // every workload gets a new leaf
	RotateIssuer Rotation = "issuer"    // a new intermediate under the same root
	AddRoot      Rotation = "add-root"  // a new root joins the bundle
	UseRoot      Rotation = "use-root"  // leaves come from the new root
	DropRoot     Rotation = "drop-root" // the old root leaves the bundle
	StopRenewal  Rotation = "stop-ca"   // the authority goes away
	StartRenewal Rotation = "start-ca"  // and comes back
)
