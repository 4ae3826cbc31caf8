package envoy

import (
	"context"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// fixture is the power over a range's identities: the CA mints, the mesh
// delivers.
type fixture struct {
	*identity.CA // Leaf and Token are its own: what they mint is no delivery
	st           *stage
}

var _ identity.Authority = fixture{}

// Delivered is the key pair that a workload's sidecar was sent last.
func (f fixture) Delivered(_ context.Context, w clusters.Workload) (identity.KeyPair, error) {
	s, ok := meshes.SidecarOf(w, f.st.sidecars)
	if !ok {
		return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: it has no sidecar, so none was delivered", w.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaf, nil
}

// Rotate changes leaves or roots and sends them. Open connections live on, as
// they do on every mesh: only new handshakes see the change.
func (f fixture) Rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	return f.st.rotate(ctx, what)
}

func (st *stage) rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	st.known[rev.ID] = rotated
	if st.policy.Changes.RootInOneStep {
		if done, err := st.oneStep(ctx, what, rev.ID); done || err != nil {
			return rev, err
		}
	}
	if err := st.ca.Rotate(what); err != nil {
		return clusters.Revision{}, err
	}
	switch what {
	case identity.RotateLeaf, identity.RotateIssuer, identity.UseRoot:
		if err := st.issue(); err != nil {
			return clusters.Revision{}, err
		}
	case identity.StartRenewal:
		st.renewal.reconsider()
	}
	if err := st.bundle(); err != nil {
		return clusters.Revision{}, err
	}
	return rev, st.deliver(ctx, rev.ID)
}

// bundle takes the CA's roots over into what is rendered from now on.
// st.mu is held.
func (st *stage) bundle() error {
	roots, _, err := st.ca.Public()
	st.r.Roots = roots
	return err
}

// stepPace is the time between two workloads of a root that is swapped in one
// step. A real roll-out takes longer; with none, no honest handshake might
// fall between.
const stepPace = 100 * time.Millisecond

// oneStep is how a root must not be changed: the new one is not trusted before
// it is used, and workloads change over one after another, so that two of them
// may trust different roots. It blocks until all have changed over; callers
// first, so that those who serve are last. st.mu is held.
func (st *stage) oneStep(ctx context.Context, what identity.Rotation, revision string) (done bool, err error) {
	switch what {
	case identity.AddRoot, identity.DropRoot:
		return true, nil // there is no overlap to begin or to end
	case identity.UseRoot:
	default:
		return false, nil
	}
	for _, r := range []identity.Rotation{identity.AddRoot, identity.UseRoot, identity.DropRoot} {
		if err := st.ca.Rotate(r); err != nil {
			return true, err
		}
	}
	if err := st.issue(); err != nil {
		return true, err
	}
	if err := st.bundle(); err != nil {
		return true, err
	}
	settled, err := st.settling.Take(ctx)
	if err != nil {
		return true, err
	}
	defer settled()
	for i, s := range meshes.CallersFirst(st.sidecars) {
		if i > 0 && !clusters.Pause(ctx, stepPace) {
			return true, fmt.Errorf("swap the root of %s: %w", s.workload.Name, ctx.Err())
		}
		if err := st.deliverTo(ctx, s, revision); err != nil {
			return true, err
		}
		if err := s.settle(ctx, revision); err != nil {
			return true, err
		}
	}
	return true, nil
}
