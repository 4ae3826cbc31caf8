package istio

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// sidecar is one Envoy as the range keeps it.
type sidecar struct {
	workload clusters.Workload
	seat     seat
	admin    admin
	pace     func(looks int) time.Duration // until the next look

	shown   shownListener // what was last seen active; of the one who settles
	version uint64        // of the listeners that it was read from

	mu    sync.Mutex
	want  want
	given []kubeapi.Handed // tokens that were handed out; of the stage's mu
}

// Beside is whose it is.
func (s *sidecar) Beside() clusters.Workload { return s.workload }

// sit says what the Envoy sits in, which is known when it runs.
func (s *sidecar) sit(w clusters.Workload, in seat) {
	s.workload, s.seat, s.admin = w, in, in.guard()
}

// expect sets what has to be seen.
func (s *sidecar) expect(w want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = w
}

// whole reads the pair until its halves belong together.
func (s *sidecar) whole(ctx context.Context) (identity.KeyPair, error) {
	for looks := 0; ; looks++ {
		pair, err := s.seat.delivered(ctx)
		if err == nil && matching(pair) {
			return pair, nil
		}
		if !clusters.Pause(ctx, s.pace(looks)) {
			return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: %w", s.workload.Name, context.Cause(ctx))
		}
	}
}

// renew gives every workload of the range a new leaf, at once, that lives as
// long as the policy says. st.mu is held.
func (st *stage) renew(ctx context.Context) error {
	var g errgroup.Group
	for _, s := range st.sidecars {
		g.Go(func() error { return s.seat.renew(ctx, st.policy.Identity.Leaf) })
	}
	return g.Wait()
}

// bootstrapOverride is merged into the agent's bootstrap: a listener on which the
// workers answer and lead to the Envoy's administration.
func bootstrapOverride(address map[string]any) map[string]any {
	return map[string]any{"static_resources": map[string]any{"listeners": []any{proxy.FenceListener(address, map[string]any{
		"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "prometheus_stats"},
	})}}}
}
