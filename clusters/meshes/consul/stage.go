package consul

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// stage is a range as the mesh keeps it.
type stage struct {
	r        clusters.Range // with Consul's identities, addresses and the public trust material
	ca       *identity.CA   // its root is the server's
	server   *server
	platform *platform // by which workloads prove who they are
	store    *signals.Store
	sidecars []*sidecar
	settling meshes.Turn
	lose     func(policy.Policy) policy.Policy // see Mesh

	mu       sync.Mutex
	entries  []entry // that the server has
	revision int
	latest   string
	withheld bool            // the latest one
	kinds    map[string]kind // of the revisions that are no policies
	issued   policy.Issuance
	quiet    atomic.Bool // nobody looks at what is issued
	byKey    atomic.Bool // an auth method that only a mistake makes is there

	end   context.CancelFunc // of who follows the server's log; nil when nobody does
	ended sync.WaitGroup
}

// kind is what a revision was.
type kind int

const (
	applied kind = iota
	rotated      // it changed the root
	lived        // something began or ended on the platform, and was waited for
)

// follow reads the server's log and the platform's until the context ends.
func (st *stage) follow(ctx context.Context) {
	tail := programs.Tail{Path: st.server.log}
	defer tail.Close()
	audit := programs.Tail{Path: st.platform.api.AuditLog()}
	defer audit.Close()
	log := &authorityLog{trustDomain: st.r.TrustDomain, refused: map[string]bool{}}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		tail.Read(func(line []byte) {
			if r, ok, err := log.parse(line, time.Now()); err == nil && ok && (r.Signal.Refused || !st.quiet.Load()) {
				st.store.Add(r)
			}
		})
		audit.Read(func(line []byte) {
			if r, ok, err := kubeapi.TokenCreation(line, time.Now()); err == nil && ok {
				st.store.Add(r)
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (st *stage) stop() {
	if st.end != nil {
		st.end()
	}
	st.ended.Wait()
	st.server.api.close()
}

// next is the next revision. st.mu is held.
func (st *stage) next() clusters.Revision {
	st.revision++
	return clusters.Revision{ID: st.r.Name + "-" + strconv.Itoa(st.revision), Asked: time.Now()}
}

// Apply asks for a policy and returns when the server has taken it.
func (st *stage) Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	if p.Changes.Withhold {
		// The servers that lie, as those without a leader: proxies keep what they have.
		st.latest, st.withheld = rev.ID, true
		return rev, nil
	}
	// A policy that cannot be rendered changes nothing at all.
	entries, err := render(st.r, p)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.latest, st.withheld = rev.ID, false
	for _, s := range st.sidecars {
		s.mu.Lock()
		s.want = shapeOf(entries, p, st.r, s.workload)
		s.mu.Unlock()
	}
	if st.lose != nil {
		if entries, err = render(st.r, st.lose(p)); err != nil {
			return clusters.Revision{}, err
		}
	}
	if err := st.replace(ctx, entries); err != nil {
		return clusters.Revision{}, fmt.Errorf("apply a policy in range %s: %w", st.r.Name, err)
	}
	if err := st.issue(ctx, p.Issuance); err != nil {
		return clusters.Revision{}, fmt.Errorf("apply a policy in range %s: %w", st.r.Name, err)
	}
	return rev, nil
}

// replace writes what is new and then removes what is gone, so that nothing is
// ever named that is not there. st.mu is held.
func (st *stage) replace(ctx context.Context, entries []entry) error {
	is := func(a entry) func(entry) bool {
		return func(b entry) bool { return a.kind == b.kind && a.name == b.name }
	}
	for _, e := range entries {
		i := slices.IndexFunc(st.entries, is(e))
		if i >= 0 && bytes.Equal(st.entries[i].body, e.body) {
			continue
		}
		if err := st.server.write(ctx, e); err != nil {
			return err
		}
		if i >= 0 {
			st.entries[i] = e
		} else {
			st.entries = append(st.entries, e)
		}
	}
	old := slices.Clone(st.entries)
	slices.SortStableFunc(old, func(a, b entry) int { return strings.Compare(b.kind, a.kind) }) // intentions name providers
	for _, old := range old {
		if slices.ContainsFunc(entries, is(old)) {
			continue
		}
		if err := st.server.remove(ctx, old); err != nil {
			return err
		}
		st.entries = slices.DeleteFunc(st.entries, is(old))
	}
	return nil
}

// Settled waits for all sidecars. An error names them and what they lack.
func (st *stage) Settled(ctx context.Context, rev clusters.Revision) error {
	st.mu.Lock()
	latest, withheld, was := st.latest, st.withheld, st.kinds[rev.ID]
	st.mu.Unlock()
	switch {
	case was == rotated:
		return st.renewed(ctx)
	case was == lived:
		return nil
	case rev.ID != latest:
		return fmt.Errorf("settle range %s: revision %q was replaced by %s", st.r.Name, rev.ID, latest)
	case withheld:
		return nil
	}
	done, err := st.settling.Take(ctx)
	if err != nil {
		return fmt.Errorf("settle range %s: %w", st.r.Name, err)
	}
	defer done()
	return meshes.Each(st.sidecars, func(s *sidecar) error {
		return meshes.OrNotReady(ctx, s.settle(ctx), s.admin.Whole)
	})
}

// Evidence gives the signals that match.
func (st *stage) Evidence(ctx context.Context, q signals.Query) []signals.Signal {
	return st.store.Query(ctx, q)
}
