package istio

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// sidecar is one Envoy as the range keeps it.
type sidecar struct {
	workload clusters.Workload
	instance instance
	admin    admin
	pace     func(looks int) time.Duration // until the next look

	active  activeListener // what was last seen active; of the one who settles
	version uint64         // of the listeners that it was read from

	mu       sync.Mutex
	expected expected
	given    []kubeapi.Handed // tokens that were handed out; of the stage's mu
}

// Beside is whose it is.
func (s *sidecar) Beside() clusters.Workload { return s.workload }

// runAt says where the Envoy runs, which is known when it runs.
func (s *sidecar) runAt(w clusters.Workload, at instance) {
	s.workload, s.instance, s.admin = w, at, at.client()
}

// expect sets what has to be seen.
func (s *sidecar) expect(e expected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = e
}

// whole reads the pair until its halves belong together.
func (s *sidecar) whole(ctx context.Context) (identity.KeyPair, error) {
	for looks := 0; ; looks++ {
		pair, err := s.instance.delivered(ctx)
		if err == nil && matching(pair) {
			return pair, nil
		}
		if !clusters.Pause(ctx, s.pace(looks)) {
			return identity.KeyPair{}, fmt.Errorf("copy the leaf of %s: %w", s.workload.Name, context.Cause(ctx))
		}
	}
}
