package istio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
)

// expect sets what has to be seen.
func (s *sidecar) expect(w want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = w
}

// settled waits for all sidecars.
func (st *stage) settled(ctx context.Context, rev clusters.Revision) error {
	st.mu.Lock()
	is, latest := st.known[rev.ID], st.latest
	st.mu.Unlock()
	switch {
	case is == unknown:
		return fmt.Errorf("settle range %s: it has no revision %q", st.name, rev.ID)
	case is == lived:
		return nil
	case is != rotated && rev.ID != latest:
		return fmt.Errorf("settle range %s: revision %s was replaced by %s", st.name, rev.ID, latest)
	case is == withheld:
		return nil
	}
	select {
	case st.settling <- struct{}{}:
		defer func() { <-st.settling }()
	case <-ctx.Done():
		return fmt.Errorf("settle range %s: another settling is under way: %w", st.name, ctx.Err())
	}
	// All are waited for, so that one error does not hide another.
	errs := make([]error, len(st.sidecars))
	var g errgroup.Group
	for i, s := range st.sidecars {
		g.Go(func() error {
			errs[i] = s.settle(ctx)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	if err := errors.Join(errs...); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.calm = st.calm || st.latest == latest
	return nil
}

// settle returns when the sidecar holds what is wanted, nothing is warming and
// nothing old is open.
func (s *sidecar) settle(ctx context.Context) error {
	last := []string{"an answer of its administration"}
	for {
		missing, err := s.look(ctx)
		switch {
		case err == nil && len(missing) == 0:
			return nil
		case err == nil:
			last = missing
		}
		switch gone := s.st.guide().Err(); {
		case s.envoy.Err() != nil:
			return fmt.Errorf("settle the sidecar of %s: it has ended: %w%s", s.workload.Name, s.envoy.Err(), lastWords(s.file("envoy.log")))
		case gone != nil && err == nil && !ebbing(last):
			return fmt.Errorf("settle the sidecar of %s: still missing: %s: no change arrives any more: %w", s.workload.Name, joined(last), gone)
		}
		if !pause(ctx, pollEvery) {
			return errors.Join(fmt.Errorf("settle the sidecar of %s: still missing: %s: %w", s.workload.Name, joined(last), context.Cause(ctx)), err)
		}
	}
}

const whileDraining = " connections while something drains"

// ebbing says whether all that is missing ends by itself: a drain needs no
// control plane.
func ebbing(missing []string) bool {
	return !slices.ContainsFunc(missing, func(m string) bool { return !strings.HasSuffix(m, whileDraining) })
}

// look says what is missing.
func (s *sidecar) look(ctx context.Context) ([]string, error) {
	n, err := s.admin.stats(ctx)
	if err != nil {
		return nil, err
	}
	if n["listener_manager.workers_started"] != 1 {
		return []string{"its workers"}, nil
	}
	missing := busy(n)
	if len(missing) > 0 {
		return missing, nil
	}
	s.mu.Lock()
	w := s.want
	s.mu.Unlock()
	if err := s.see(ctx, n); err != nil {
		return []string{err.Error()}, nil
	}
	if missing = w.missing(s.shown); len(missing) > 0 {
		return missing, nil
	}
	if more, err := s.secrets(ctx); err != nil || len(more) > 0 {
		return more, err
	}
	// What was seen active may have come since, and drain what was before it.
	if n, err = s.admin.stats(ctx); err != nil || len(busy(n)) > 0 {
		return busy(n), err
	}
	return nil, s.admin.passed(ctx)
}

// see looks at the inbound listener. What it holds is a quarter of a megabyte,
// so it is looked at again only when the listeners have another version.
func (s *sidecar) see(ctx context.Context, n map[string]uint64) error {
	version := n["listener_manager.lds.version"]
	if s.version == version {
		return nil
	}
	l, err := s.admin.inbound(ctx)
	if err != nil {
		return err
	}
	if l.busy {
		return errors.New("its listener is warming or draining")
	}
	s.shown, s.version = l, version
	return nil
}

// busy says what is warming or draining. Envoy keeps a replaced filter chain
// for the whole drain time even when nobody is in it; that is not waited for,
// since nobody can come in any more either.
func busy(n map[string]uint64) []string {
	var out []string
	for _, name := range []string{"listener_manager.total_listeners_warming", "cluster_manager.warming_clusters"} {
		if n[name] > 0 {
			out = append(out, fmt.Sprintf("%s is %d", name, n[name]))
		}
	}
	draining := n["listener_manager.total_listeners_draining"] + n["listener_manager.total_filter_chains_draining"]
	if open := n["listener.0.0.0.0_15006.downstream_cx_active"]; draining > 0 && open > 0 {
		out = append(out, fmt.Sprint(open, whileDraining))
	}
	return out
}
