package envoy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// stage is a range as the mesh keeps it.
type stage struct {
	name     string
	ca       *identity.CA
	sidecars []*sidecar
	store    *signals.Store
	settling meshes.Turn
	renewal  *renewal
	renewing bool // fixed once Install has returned

	mu       sync.Mutex
	r        clusters.Range // with the public trust material
	policy   policy.Policy
	revision int
	known    map[string]kind // of the revisions
	latest   string          // revision of the policy that was asked for last
	due      time.Time       // when the leaves in force are to be renewed
}

// kind is what a revision was.
type kind int

const (
	unknown kind = iota
	applied
	withheld
	rotated
)

func newStage(r clusters.Range, issuers *identity.Issuers) (*stage, error) {
	ca, err := identity.NewCA(r.TrustDomain, identity.CAOptions{Issuers: issuers})
	if err != nil {
		return nil, err
	}
	if r.Roots, r.Issuers, err = ca.Public(); err != nil {
		return nil, err
	}
	st := &stage{
		name: r.Name, ca: ca, r: r, store: signals.NewStore(),
		settling: meshes.NewTurn(), known: map[string]kind{},
	}
	st.renewal = newRenewal()
	return st, nil
}

// next is the next revision. st.mu is held.
func (st *stage) next() clusters.Revision {
	st.revision++
	return clusters.Revision{ID: st.name + "-" + strconv.Itoa(st.revision), Asked: time.Now()}
}

// Apply asks for a policy and returns at once.
func (st *stage) Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	if p.Changes.Withhold {
		// The control plane that lies: it has noted the revision, and that is all.
		st.latest, st.known[rev.ID] = rev.ID, withheld
		return rev, nil
	}
	// A policy that cannot be rendered changes nothing at all.
	for _, s := range st.sidecars {
		if _, err := render(st.r, p, s.workload, 0); err != nil {
			return clusters.Revision{}, fmt.Errorf("render the policy for %s: %w", s.workload.Name, err)
		}
	}
	before := st.policy
	st.policy, st.latest, st.known[rev.ID] = p, rev.ID, applied
	st.store.Conceal(p.Logging.NoAddress)
	if before.Identity.Leaf != p.Identity.Leaf {
		if err := st.issue(); err != nil && !errors.Is(err, identity.ErrStopped) {
			return clusters.Revision{}, err
		}
	}
	for _, s := range st.sidecars {
		if err := s.change(ctx, p, rev.ID); err != nil {
			return clusters.Revision{}, err
		}
	}
	st.renewal.reconsider()
	return rev, nil
}

// change gives a sidecar another policy and notes what has to end for it.
func (s *sidecar) change(ctx context.Context, p policy.Policy, revision string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	owed := max(s.debt, s.kept, owes(s.policy, p, s.workload.Name))
	s.policy, s.debt, s.kept = p, owed, nothing
	if p.Changes.KeepStreams {
		s.debt, s.kept = nothing, owed
	}
	return s.tell(ctx, revision)
}

// issue makes a new leaf for every sidecar. Nothing is sent. st.mu is held.
func (st *stage) issue() error {
	soonest := asked(st.policy.Identity)
	for _, s := range st.sidecars {
		pair, err := st.ca.Issue(s.workload, st.policy.Identity.Leaf)
		if err != nil {
			return err
		}
		left, err := timeLeft(pair)
		if err != nil {
			return err
		}
		soonest = min(soonest, left)
		s.mu.Lock()
		s.leaf = pair
		s.mu.Unlock()
	}
	st.due = time.Now().Add(soonest / 2)
	return nil
}

// deliver sends every sidecar its leaf and the roots in force.
func (st *stage) deliver(ctx context.Context, revision string) error {
	for _, s := range st.sidecars {
		if err := st.deliverTo(ctx, s, revision); err != nil {
			return err
		}
	}
	return nil
}

func (st *stage) deliverTo(ctx context.Context, s *sidecar, revision string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r = st.r
	return s.tell(ctx, revision)
}

// Settled waits for all sidecars. It should be called after every Apply: it
// also ends what the change must not let live on. An error names the sidecars
// and what they lack; a refused configuration is an error at once, in Envoy's
// words.
func (st *stage) Settled(ctx context.Context, rev clusters.Revision) error {
	st.mu.Lock()
	is, latest := st.known[rev.ID], st.latest
	st.mu.Unlock()
	switch {
	case is == unknown:
		return fmt.Errorf("settle range %s: it has no revision %q", st.name, rev.ID)
	case is != rotated && rev.ID != latest:
		return fmt.Errorf("settle range %s: revision %s was replaced by %s", st.name, rev.ID, latest)
	case is == withheld:
		return nil
	}
	done, err := st.settling.Take(ctx)
	if err != nil {
		return fmt.Errorf("settle range %s: %w", st.name, err)
	}
	defer done()
	return meshes.Each(st.sidecars, func(s *sidecar) error {
		return meshes.OrNotReady(ctx, s.settle(ctx, rev.ID), s.admin.main.Whole)
	})
}

// Evidence gives the signals that match.
func (st *stage) Evidence(ctx context.Context, q signals.Query) []signals.Signal {
	return st.store.Query(ctx, q)
}
