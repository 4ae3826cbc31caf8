package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names in Range.Roots.
const (
	RootMesh   = "mesh"            // what the mesh trusts, one certificate or more
	RootForged = policy.RootForged // the attacker's own root, with the same subject names
)

// LeafLifetime is how long a leaf lives when nobody says otherwise.
const LeafLifetime = time.Hour

// backdate is how far before now a leaf begins, so that a verifier whose clock
// runs behind takes a fresh one.
const backdate = time.Minute

// ErrStopped says that the authority was stopped and issues nothing.
var ErrStopped = errors.New("the authority is stopped")

// CAOptions are what a CA may be given. The zero value works.
type CAOptions struct {
	Now     func() time.Time // time.Now when nil
	Issuers *Issuers         // made for this CA alone when nil; sharing saves the RSA keys
}

// A CA signs the leaves and tokens of one trust domain. It is safe for
// concurrent use. It delivers nothing: that is the mesh's part.
type CA struct {
	td      spiffeid.TrustDomain
	now     func() time.Time
	issuers *Issuers
	bundle  *x509bundle.Bundle // the trusted roots; it locks for itself
	forged  signer

	mu        sync.Mutex
	roots     []signer // trusted, oldest first; the last is the newest
	signing   int      // index in roots of the one that leaves come from
	issuer    signer   // intermediate under the signing root
	stopped   bool
	delivered map[string]KeyPair // by workload name
}

// NewCA makes a CA with a fresh root and intermediate for a trust domain.
func NewCA(trustDomain string, o CAOptions) (*CA, error) {
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil {
		return nil, fmt.Errorf("make an authority for %q: %w", trustDomain, err)
	}
	c := &CA{td: td, now: o.Now, issuers: o.Issuers, delivered: map[string]KeyPair{}}
	if c.now == nil {
		c.now = time.Now
	}
	if c.issuers == nil {
		c.issuers = NewIssuers()
	}
	root, err := c.newRoot()
	if err != nil {
		return nil, err
	}
	forgedRoot, err := c.newRoot()
	if err != nil {
		return nil, err
	}
	if c.issuer, err = c.newIntermediate(root); err != nil {
		return nil, err
	}
	if c.forged, err = c.newIntermediate(forgedRoot); err != nil {
		return nil, err
	}
	c.roots = []signer{root}
	c.bundle = x509bundle.New(td)
	c.bundle.AddX509Authority(root.cert)
	return c, nil
}

// Bundle is every root that is trusted now, PEM, oldest first.
func (c *CA) Bundle() []byte {
	var out []byte
	for _, root := range c.bundle.X509Authorities() {
		out = append(out, certificatePEM(root.Raw)...)
	}
	return out
}

// Public is what the range may know: the roots and the token issuers by name.
// It waits until the issuers' keys are made.
func (c *CA) Public() (roots map[string]string, issuers map[string]clusters.Issuer, err error) {
	if issuers, err = c.issuers.Public(); err != nil {
		return nil, nil, err
	}
	roots = map[string]string{
		RootMesh:   string(c.Bundle()),
		RootForged: string(certificatePEM(c.forged.parent.Raw)),
	}
	return roots, issuers, nil
}

// Issue makes the leaf that the mesh delivers to a workload now, living for
// the given time (Lifetime when zero), and remembers it as delivered. It
// returns ErrStopped while the authority is stopped.
func (c *CA) Issue(w clusters.Workload, lifetime time.Duration) (KeyPair, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return KeyPair{}, fmt.Errorf("issue a leaf to %s: %w", w.Name, ErrStopped)
	}
	if lifetime == 0 {
		lifetime = LeafLifetime
	}
	pair, err := c.mint(c.issuer, LeafRequest{Workload: w, NotAfter: c.now().Add(lifetime)})
	if err != nil {
		return KeyPair{}, err
	}
	c.delivered[w.Name] = pair
	return pair, nil
}

// Leaf mints a leaf as asked, also while the authority is stopped. It is no
// delivery.
func (c *CA) Leaf(_ context.Context, q LeafRequest) (KeyPair, error) {
	c.mu.Lock()
	from := c.issuer
	c.mu.Unlock()
	if q.Forged {
		from = c.forged
	}
	return c.mint(from, q)
}

// Delivered is what Issue last made for a workload.
func (c *CA) Delivered(_ context.Context, w clusters.Workload) (KeyPair, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, ok := c.delivered[w.Name]
	if !ok {
		return KeyPair{}, fmt.Errorf("copy the leaf of %s: none was ever delivered to it", w.Name)
	}
	return pair, nil
}

// Token signs a bearer token. It refuses what an issuer cannot sign.
func (c *CA) Token(_ context.Context, q TokenRequest) (string, error) {
	return c.issuers.token(c.now(), q)
}

// Rotate changes what the authority signs with and what it trusts. The mesh
// calls it and then delivers new leaves and bundles; RotateLeaf therefore
// changes nothing here.
func (c *CA) Rotate(what Rotation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.rotate(what); err != nil {
		return fmt.Errorf("rotate %s of %s: %w", what, c.td, err)
	}
	return nil
}

func (c *CA) rotate(what Rotation) error {
	switch what {
	case RotateLeaf:
		return nil
	case RotateIssuer:
		return c.useRoot(c.signing)
	case AddRoot:
		root, err := c.newRoot()
		if err != nil {
			return err
		}
		c.roots = append(c.roots, root)
		c.bundle.AddX509Authority(root.cert)
		return nil
	case UseRoot:
		if c.signing == len(c.roots)-1 {
			return errors.New("no root was added")
		}
		return c.useRoot(len(c.roots) - 1)
	case DropRoot:
		return c.dropRoots()
	case StopRenewal, StartRenewal:
		c.stopped = what == StopRenewal
		return nil
	default:
		return errors.New("no such rotation")
	}
}

// useRoot makes leaves come from a new intermediate under one of the roots.
func (c *CA) useRoot(i int) error {
	issuer, err := c.newIntermediate(c.roots[i])
	if err != nil {
		return err
	}
	c.signing, c.issuer = i, issuer
	return nil
}

// dropRoots forgets every root that is older than the one in use. One that
// was added and is not in use yet stays.
func (c *CA) dropRoots() error {
	if c.signing == 0 {
		return errors.New("no older root than the one in use")
	}
	for _, old := range c.roots[:c.signing] {
		c.bundle.RemoveX509Authority(old.cert)
	}
	c.roots = append([]signer(nil), c.roots[c.signing:]...)
	c.signing = 0
	return nil
}
