// Package meshes has the interface of a mesh, and what meshes do alike. Each
// mesh is a folder below it; package builtin lists them.
package meshes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
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

// Capabilities are all of them, in the order in which people read them.
func Capabilities() []Capability {
	return []Capability{CanAuthorize, CanTokens, CanRotate, CanSignal, CanWithhold, CanShortLive, CanSignAccounts, CanAudit}
}

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
	// Note, which may be nil, receives non-fatal installation warnings.
	Note func(string) `json:"-"`
}

// NotReady marks an error of Settled: the mesh itself is not whole. Its control
// plane or a proxy has ended or does not answer, or a proxy is still warming.
// Without the mark, running out of time means that a mesh that is whole does not
// do what it was asked for.
func NotReady(err error) error { return notReady{err} }

// IsNotReady says whether an error, or any that it wraps, has that mark.
func IsNotReady(err error) bool {
	var marked notReady
	return errors.As(err, &marked)
}

// wholeLimit is how long a proxy that did not settle is asked whether it is
// whole: the time to settle may have run out by then.
const wholeLimit = time.Second

// OrNotReady is the error of a proxy that did not settle, with the mark of
// NotReady where whole says that the proxy is not. No error stays none.
func OrNotReady(ctx context.Context, settled error, whole func(context.Context) error) error {
	if settled == nil || IsNotReady(settled) {
		return settled
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wholeLimit)
	defer cancel()
	if err := whole(ctx); err != nil {
		return NotReady(fmt.Errorf("%w (the proxy is not ready: %w)", settled, err))
	}
	return settled
}

type notReady struct{ error }

func (e notReady) Unwrap() error { return e.error }

// A Mesh is a kind of mesh. What else it can do are the optional interfaces in
// abilities.go.
type Mesh interface {
	Describe() Descriptor
	// Render is pure: what the mesh's objects would be for this policy.
	Render(clusters.Range, policy.Policy) ([]Object, error)
	// Install makes the mesh run on a cluster and gives every meshed workload
	// its proxy.
	Install(ctx context.Context, c *clusters.Cluster, r Release) (Installed, error)
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
	Apply(ctx context.Context, r clusters.Range, p policy.Policy) (clusters.Revision, error)
	// Settled returns when the active configuration of every proxy of the
	// range is the revision's, nothing is warming and nothing is draining.
	// Running out of time is an error that says what is missing.
	Settled(ctx context.Context, r clusters.Range, rev clusters.Revision) error
	// Evidence returns the signals that match, as Query says.
	Evidence(ctx context.Context, r clusters.Range, q signals.Query) ([]signals.Signal, error)
	// Authority is the power over a range's identities. Its error says why there
	// is none: what needs it is unsupported then, for that reason.
	Authority(clusters.Range) (identity.Authority, error)
}
