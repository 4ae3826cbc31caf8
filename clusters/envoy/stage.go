package envoy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/authority"
	"github.com/meshbreach/meshbreach/clusters/evidence"
)

// stage is a range as the mesh keeps it.
type stage struct {
	name     string
	ca       *authority.CA
	sidecars []*sidecar
	store    *evidence.Store
	settling chan struct{} // holds one token: settling is one at a time
	renewal  *renewal
	renewing bool // fixed once Install has returned

	mu       sync.Mutex
	r        clusters.Range // with the public trust material
	policy   clusters.Policy
	revision int
	known    map[string]kind // of the revisions
	latest   string          // revision of the policy that was asked for last
	issued   time.Time       // when the leaves in force were made
}

// kind is what a revision was.
type kind int

const (
	unknown kind = iota
	applied
	withheld
	rotated
)

func newStage(r clusters.Range, issuers *authority.Issuers) (*stage, error) {
	ca, err := authority.New(r.TrustDomain, authority.Options{Issuers: issuers})
	if err != nil {
		return nil, err
	}
	if r.Roots, r.Issuers, err = ca.Public(); err != nil {
		return nil, err
	}
	st := &stage{
		name: r.Name, ca: ca, r: r, store: evidence.NewStore(),
		settling: make(chan struct{}, 1), known: map[string]kind{},
	}
	st.renewal = newRenewal()
	return st, nil
}

// next is the next revision. st.mu is held.
func (st *stage) next() clusters.Revision {
	st.revision++
	return clusters.Revision{ID: st.name + "-" + strconv.Itoa(st.revision), Asked: time.Now()}
}

// apply asks for a policy.
func (st *stage) apply(ctx context.Context, p clusters.Policy) (clusters.Revision, error) {
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
		if err := st.issue(); err != nil && !errors.Is(err, authority.ErrStopped) {
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
func (s *sidecar) change(ctx context.Context, p clusters.Policy, revision string) error {
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
	for _, s := range st.sidecars {
		pair, err := st.ca.Issue(s.workload, st.policy.Identity.Leaf)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.leaf = pair
		s.mu.Unlock()
	}
	st.issued = time.Now()
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

// settled waits for all sidecars.
func (st *stage) settled(ctx context.Context, rev clusters.Revision) error {
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
	done, err := st.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	// All are waited for, so that one error does not hide another.
	errs := make([]error, len(st.sidecars))
	var g errgroup.Group
	for i, s := range st.sidecars {
		g.Go(func() error {
			errs[i] = s.settle(ctx, rev.ID)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}

// alone waits until nobody else settles this range.
func (st *stage) alone(ctx context.Context) (done func(), err error) {
	select {
	case st.settling <- struct{}{}:
		return func() { <-st.settling }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("settle range %s: another settling is under way: %w", st.name, ctx.Err())
	}
}
