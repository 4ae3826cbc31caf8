package meshes

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// A Stage is a range as a mesh keeps it.
type Stage interface {
	Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error)
	Settled(ctx context.Context, rev clusters.Revision) error
	Evidence(ctx context.Context, q signals.Query) []signals.Signal
}

// Stages are those of a mesh, by the name of their range. It is most of an
// Installed.
type Stages[S Stage] map[string]S

// Stage is a range's.
func (all Stages[S]) Stage(r clusters.Range) (S, error) {
	st, ok := all[r.Name]
	if !ok {
		return st, fmt.Errorf("no range %s in this mesh", r.Name)
	}
	return st, nil
}

// Apply asks for a policy, as the stage does.
func (all Stages[S]) Apply(ctx context.Context, r clusters.Range, p policy.Policy) (clusters.Revision, error) {
	st, err := all.Stage(r)
	if err != nil {
		return clusters.Revision{}, err
	}
	return st.Apply(ctx, p)
}

// Settled waits until a revision holds at every sidecar of the range, as the
// stage does.
func (all Stages[S]) Settled(ctx context.Context, r clusters.Range, rev clusters.Revision) error {
	st, err := all.Stage(r)
	if err != nil {
		return err
	}
	return st.Settled(ctx, rev)
}

// Evidence gives the signals of the range that match.
func (all Stages[S]) Evidence(ctx context.Context, r clusters.Range, q signals.Query) ([]signals.Signal, error) {
	st, err := all.Stage(r)
	if err != nil {
		return nil, err
	}
	return st.Evidence(ctx, q), nil
}

// A Sidecar is a proxy that a stage keeps.
type Sidecar interface {
	Beside() clusters.Workload
}

// SidecarOf is a workload's sidecar; false when it has none.
func SidecarOf[S Sidecar](w clusters.Workload, all []S) (S, bool) {
	for _, s := range all {
		if s.Beside().Name == w.Name {
			return s, true
		}
	}
	var none S
	return none, false
}

// CallersFirst puts the sidecars of those who serve last.
func CallersFirst[S Sidecar](all []S) []S {
	var callers, servers []S
	for _, s := range all {
		if s.Beside().Serves() {
			servers = append(servers, s)
		} else {
			callers = append(callers, s)
		}
	}
	return append(callers, servers...)
}

// A Turn is had by one at a time: settling is. The zero value is nobody's;
// NewTurn makes one.
type Turn chan struct{}

// NewTurn is a turn that anybody may have.
func NewTurn() Turn { return make(Turn, 1) }

// Take waits until nobody else has the turn. A turn that is free is given even
// where the context has ended, for whoever has it can say what is missing; so
// an error is always somebody else's turn.
func (t Turn) Take(ctx context.Context) (done func(), err error) {
	done = func() { <-t }
	select {
	case t <- struct{}{}:
		return done, nil
	case <-ctx.Done():
	}
	// The select chooses by chance where the turn is free and time is up.
	select {
	case t <- struct{}{}:
		return done, nil
	default:
		return nil, NotReady(fmt.Errorf("another settling is under way: %w", context.Cause(ctx)))
	}
}

// Each does something to all of them at once. All are waited for, so that one
// error does not hide another.
func Each[S any](all []S, do func(S) error) error {
	errs := make([]error, len(all))
	var g errgroup.Group
	for i, s := range all {
		g.Go(func() error {
			errs[i] = do(s)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	return errors.Join(errs...)
}
