package istio

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// fixture is the power over a range's identities. The CA is the harness's;
// istiod signs with its intermediate, so what the fixture mints and what the
// mesh delivers come from one signer.
type fixture struct {
	*identity.CA // Leaf and Token are its own: what they mint is no delivery
	st           *stage
}

var _ identity.Authority = fixture{}

// Delivered is the key pair that a workload's agent delivered last.
func (f fixture) Delivered(ctx context.Context, w clusters.Workload) (identity.KeyPair, error) {
	s, ok := meshes.SidecarOf(w, f.st.sidecars)
	if !ok {
		return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: it has no sidecar, so none was delivered", w.Name)
	}
	return s.whole(ctx)
}

// Rotate changes what istiod signs with and what the mesh trusts, and lets the
// agents ask for new leaves. Open connections live on.
func (f fixture) Rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	return f.st.rotate(ctx, what)
}

func (st *stage) rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	st.known[rev.ID] = rotated
	if st.policy.Changes.RootInOneStep {
		if done, err := st.oneStep(ctx, what); done || err != nil {
			return rev, err
		}
	}
	if err := st.ca.Rotate(what); err != nil {
		return clusters.Revision{}, err
	}
	switch what {
	case identity.StopRenewal:
		return rev, st.hang(ctx, true)
	case identity.StartRenewal:
		return rev, st.hang(ctx, false)
	case identity.RotateLeaf:
	default:
		if err := st.reload(ctx); err != nil {
			return clusters.Revision{}, err
		}
	}
	if err := st.renew(ctx); err != nil || what != identity.DropRoot {
		return rev, err
	}
	// istiod verifies who calls it with the roots that it started with, whatever
	// it has taken over since.
	return rev, st.restartPilot(ctx)
}

// stepPace is the time between two workloads of a root that is swapped in one
// step. A real roll-out takes longer; with none, no honest handshake might
// fall between.
const stepPace = 100 * time.Millisecond

// oneStep is how a root must not be changed: the new one is not trusted before
// it is used, and workloads change over one after another. st.mu is held.
func (st *stage) oneStep(ctx context.Context, what identity.Rotation) (done bool, err error) {
	switch what {
	case identity.AddRoot, identity.DropRoot:
		return true, nil // there is no overlap to begin or to end
	case identity.UseRoot:
	default:
		return false, nil
	}
	// istiod itself takes no root that has nothing to do with the last: it
	// gets there in two steps, of which no agent hears.
	for _, r := range []identity.Rotation{identity.AddRoot, identity.UseRoot} {
		if err := st.ca.Rotate(r); err != nil {
			return true, err
		}
	}
	if err := st.reload(ctx); err != nil {
		return true, err
	}
	if err := st.ca.Rotate(identity.DropRoot); err != nil {
		return true, err
	}
	if err := st.reload(ctx); err != nil {
		return true, err
	}
	for _, s := range meshes.CallersFirst(st.sidecars) {
		if err := s.instance.renew(ctx, st.policy.Identity.Leaf); err != nil {
			return true, err
		}
		if !clusters.Pause(ctx, stepPace) {
			return true, fmt.Errorf("swap the root of %s: %w", s.workload.Name, ctx.Err())
		}
	}
	return true, st.restartPilot(ctx)
}

// renew gives every workload of the range a new leaf, at once, that lives as
// long as the policy says. st.mu is held.
func (st *stage) renew(ctx context.Context) error {
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.instance.renew(ctx, st.policy.Identity.Leaf) })
	}
	return g.Wait()
}
