package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// fixture is the power over a range's identities: it mints under the root that
// Consul signs with.
type fixture struct {
	*identity.CA // Leaf and Token are its own: what they mint is no delivery
	st           *stage
}

var _ identity.Authority = fixture{}

// Delivered is the key pair that a workload's sidecar has. Consul's agent keeps
// one for every service, which the sidecars and this are given alike.
func (f fixture) Delivered(ctx context.Context, w clusters.Workload) (identity.KeyPair, error) {
	s, ok := meshes.SidecarOf(w, f.st.sidecars)
	if !ok {
		return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: it has no sidecar, so none was delivered", w.Name)
	}
	var leaf struct{ CertPEM, PrivateKeyPEM string }
	if err := f.st.server.api.as(ctx, s.token, http.MethodGet, "/v1/agent/connect/ca/leaf/"+service(w), nil, &leaf); err != nil {
		return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: %w", w.Name, err)
	}
	return identity.KeyPair{Chain: []byte(leaf.CertPEM), Key: []byte(leaf.PrivateKeyPEM)}, nil
}

// ErrNoRotation says why Rotate does not do what it is asked for.
var ErrNoRotation = errors.New("consul's leaves live for an hour at least, nothing renews one earlier, and a root that was in use goes by itself")

// Rotate makes a root (AddRoot) and gives it to Consul (UseRoot), which trusts
// the old one beside it. Leaves come from the new one after up to half a
// minute, which Settled waits for; no other rotation is possible.
func (f fixture) Rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	rev, err := f.st.rotate(ctx, what)
	if err != nil {
		return clusters.Revision{}, fmt.Errorf("rotate %s: %w", what, err)
	}
	return rev, nil
}
