package istio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// Evidence gives the signals that match.
func (st *stage) Evidence(ctx context.Context, q signals.Query) []signals.Signal {
	return st.store.Query(ctx, q)
}

// Settled waits for all sidecars, until nothing is warming and nothing old is
// open.
func (st *stage) Settled(ctx context.Context, rev clusters.Revision) error {
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
	done, err := st.settling.Take(ctx)
	if err != nil {
		return fmt.Errorf("settle range %s: %w", st.name, err)
	}
	defer done()
	if err := meshes.Each(st.sidecars, func(s *sidecar) error {
		return meshes.OrNotReady(ctx, s.settle(ctx, st.pilot), s.admin.Whole)
	}); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.calm = st.calm || st.latest == latest
	return nil
}

// pending is what is missing before a sidecar is settled.
type pending struct {
	changes []string // what istiod or an agent has to bring
	drain   string   // what ends by itself: a drain needs no control plane
}

func (p pending) none() bool { return len(p.changes) == 0 && p.drain == "" }

// String names all that is missing.
func (p pending) String() string {
	all := p.changes
	if p.drain != "" {
		all = append(slices.Clone(all), p.drain)
	}
	return strings.Join(all, ", ")
}

// settle returns when the sidecar has the expected configuration, nothing is
// warming and nothing old is open.
func (s *sidecar) settle(ctx context.Context, guide pilot) error {
	return s.await(ctx, "settle", guide, s.look)
}

// healthy returns when the sidecar runs: istiod has given it a configuration,
// of whatever content, and its agent a certificate.
func (s *sidecar) healthy(ctx context.Context, guide pilot) error {
	err := s.await(ctx, "start", guide, s.health)
	if err != nil {
		// Where istiod refuses an agent, only the agent says so.
		return fmt.Errorf("%w%s", err, s.instance.lastWords(ctx))
	}
	return nil
}

// await looks again and again until nothing is pending, the sidecar or, while a
// change is pending, istiod has ended, or the context ends. An error begins
// with the act and says what is pending.
func (s *sidecar) await(ctx context.Context, act string, guide pilot, look func(context.Context) (pending, error)) error {
	w := clusters.StartWait(ctx, fmt.Sprintf("the sidecar of %s in %s", s.workload.Name, s.workload.Range))
	defer w.Done()
	last := pending{changes: []string{"an answer of its admin interface"}}
	for looks := 0; ; looks++ {
		w.Pending(last.String())
		missing, err := glance(ctx, look)
		if err == nil && missing.none() {
			return nil
		}
		if err == nil {
			last = missing
		}
		if gone := s.instance.gone(ctx); gone != nil {
			return fmt.Errorf("%s the sidecar of %s: it has ended: %w", act, s.workload.Name, gone)
		}
		if err == nil && len(last.changes) > 0 {
			if gone := guide.gone(ctx); gone != nil {
				return fmt.Errorf("%s the sidecar of %s: still missing: %s: no change arrives any more: %w", act, s.workload.Name, last, gone)
			}
		}
		if !clusters.Pause(ctx, s.pace(looks)) {
			return errors.Join(fmt.Errorf("%s the sidecar of %s: still missing: %s: %w", act, s.workload.Name, last, context.Cause(ctx)), err)
		}
	}
}

// lookTime limits one look: a connection that leads nowhere any more must not
// use up the time of the next looks.
const lookTime = 5 * time.Second

// glance is a look with that limit.
func glance(ctx context.Context, look func(context.Context) (pending, error)) (pending, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return look(ctx)
}

// noWorkers is what is missing while an Envoy has not begun to work.
const noWorkers = "its workers, which start with the first configuration and certificate"

// health says what a sidecar needs before it runs at all.
func (s *sidecar) health(ctx context.Context) (pending, error) {
	n, err := s.admin.stats(ctx)
	if err != nil {
		return pending{}, err
	}
	if n["listener_manager.workers_started"] != 1 {
		return pending{changes: []string{noWorkers}}, nil
	}
	if now := busy(n); len(now.changes) > 0 {
		return pending{changes: now.changes}, nil
	}
	missing, err := s.secrets(ctx)
	return pending{changes: missing}, err
}

// look says what is missing before the sidecar is settled.
func (s *sidecar) look(ctx context.Context) (pending, error) {
	n, err := s.admin.stats(ctx)
	if err != nil {
		return pending{}, err
	}
	if n["listener_manager.workers_started"] != 1 {
		return pending{changes: []string{noWorkers}}, nil
	}
	if missing := busy(n); !missing.none() {
		return missing, nil
	}
	s.mu.Lock()
	e := s.expected
	s.mu.Unlock()
	if err := s.see(ctx, n); err != nil {
		return pending{changes: []string{err.Error()}}, nil
	}
	if missing := e.missing(s.active); len(missing) > 0 {
		return pending{changes: missing}, nil
	}
	if missing, err := s.secrets(ctx); err != nil || len(missing) > 0 {
		return pending{changes: missing}, err
	}
	// What is active may have come just now. What it drains is looked at once all
	// workers have taken it: from then on nobody comes in the old way.
	missing, err := s.admin.workers.Passed(ctx, func(ctx context.Context) (map[string]uint64, error) {
		n, err = s.admin.stats(ctx)
		return n, err
	})
	if err != nil || len(missing) > 0 {
		return pending{changes: missing}, err
	}
	return busy(n), nil
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
	s.active, s.version = l, version
	return nil
}

// busy says what is warming or draining. Envoy keeps a replaced filter chain
// for the whole drain time even when nobody is in it; that is not waited for,
// since nobody can come in any more either.
func busy(n map[string]uint64) pending {
	var out pending
	for _, name := range []string{"listener_manager.total_listeners_warming", "cluster_manager.warming_clusters"} {
		if n[name] > 0 {
			out.changes = append(out.changes, fmt.Sprintf("%s is %d", name, n[name]))
		}
	}
	draining := n["listener_manager.total_listeners_draining"] + n["listener_manager.total_filter_chains_draining"]
	if open := n["listener.0.0.0.0_15006.downstream_cx_active"]; draining > 0 && open > 0 {
		out.drain = fmt.Sprintf("%d connections while something drains", open)
	}
	return out
}
