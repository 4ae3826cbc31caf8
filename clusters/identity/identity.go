// Package identity has the certificate authority and the token issuers of a
// range, and the requests for leaves and tokens that they answer.
package identity

import (
	"context"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// An Authority is the fixture's power over a range's identities. It is never
// the attacker's.
type Authority interface {
	// Leaf mints a leaf.
	Leaf(ctx context.Context, q LeafRequest) (KeyPair, error)
	// Delivered is a workload's leaf and key exactly as last delivered.
	Delivered(ctx context.Context, w clusters.Workload) (KeyPair, error)
	// Token signs a bearer token.
	Token(ctx context.Context, q TokenRequest) (string, error)
	// Rotate changes leaves or roots and asks the mesh to deliver them.
	Rotate(ctx context.Context, what Rotation) (clusters.Revision, error)
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
	Workload            clusters.Workload
	NotBefore, NotAfter time.Time
	Forged              bool   // signed by the attacker's own root
	TrustDomain         string // another trust domain in the URI
}

// A TokenRequest asks for a bearer token. Zero fields are as the issuer would
// write it.
type TokenRequest struct {
	Subject  clusters.Workload
	Issuer   string    // name in Range.Issuers, or any text for an unknown one
	Audience string    // the name of the cast's server when empty
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
