package meshes

import (
	"context"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

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

// Issuing is an Installed whose workloads ask a certificate authority.
type Issuing interface {
	Endpoint(clusters.Range) identity.Endpoint
}

// AccountTokens is an Installed whose platform gives tokens to accounts.
type AccountTokens interface {
	// AccountToken gives a token, and whether it was issued by the platform
	// ("minted") or signed with its key by the fixture ("signed").
	AccountToken(ctx context.Context, r clusters.Range, q identity.AccountTokenRequest) (token, source string, err error)
}

// Lifecycle is an Installed whose platform can be told that workloads end.
// Settled returns when the platform believes in no token of what ended.
type Lifecycle interface {
	Delete(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error)
	// Recreate makes what was deleted anew: the same name, and not the same.
	Recreate(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error)
}

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
	Canaries(r clusters.Range) map[string][]string
}
