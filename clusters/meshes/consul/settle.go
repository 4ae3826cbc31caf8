package consul

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// A shape is what can be seen of a range's entries in a sidecar's listeners.
type shape struct {
	markers    []string // of the intentions for its service
	permissive bool     // plaintext to the service's port is passed on
	addresses  bool     // the access log has them
	upstreams  []string // virtual addresses of the services that it may call
	hosts      []string // those services
}

// shapeOf is the shape that entries give to a sidecar.
func shapeOf(entries []entry, p policy.Policy, r clusters.Range, w clusters.Workload) shape {
	s := shape{
		markers: markers(entries, service(w)), permissive: p.MTLS == policy.Permissive,
		addresses: !p.Logging.NoAddress,
	}
	for _, to := range r.Workloads {
		if to.Meshed && service(to) != service(w) && to.VIP.IsValid() && mayCall(entries, service(w), service(to)) {
			s.upstreams = append(s.upstreams, to.VIP.String())
			s.hosts = append(s.hosts, service(to))
		}
	}
	slices.Sort(s.upstreams)
	s.upstreams = slices.Compact(s.upstreams)
	return s
}

// mayCall says whether any intention lets a service call another: only then is
// the other's address known to it. The exact destination and then the exact
// source count before wildcards.
func mayCall(entries []entry, from, to string) bool {
	for _, destination := range []string{to, everyone} {
		for _, e := range entries {
			if e.kind != kindIntentions || e.name != destination {
				continue
			}
			for _, name := range []string{from, everyone} {
				i := slices.IndexFunc(e.sources, func(s source) bool { return s.Name == name })
				if i >= 0 {
					return e.sources[i].Action != actionDeny
				}
			}
		}
	}
	return false
}

// lacks says what of a shape the listeners do not show.
func (s shape) lacks(all map[string]listener) []string {
	var missing []string
	public, outbound := all["public_listener"], all["outbound_listener"]
	for name, l := range map[string]listener{"public_listener": public, "outbound_listener": outbound} {
		if l.raw == "" || l.busy {
			missing = append(missing, name+" is not active")
		} else if strings.Contains(l.raw, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS") != s.addresses {
			missing = append(missing, fmt.Sprintf("%s with addresses in its log: %t", name, s.addresses))
		}
	}
	if got := shownMarkers(public.raw); !slices.Equal(got, s.markers) {
		missing = append(missing, fmt.Sprintf("public_listener has the intentions %v instead of %v", got, s.markers))
	}
	open := slices.ContainsFunc(public.chains, func(c chain) bool { return c.Match.Port == clusters.PortHTTP })
	if open != s.permissive {
		missing = append(missing, fmt.Sprintf("public_listener takes plaintext: %t", open))
	}
	var got []string
	for _, c := range outbound.chains {
		for _, p := range c.Match.Prefixes {
			got = append(got, p.Address)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, s.upstreams) {
		missing = append(missing, fmt.Sprintf("outbound_listener leads to %v instead of %v", got, s.upstreams))
	}
	slices.Sort(missing)
	return missing
}

func shownMarkers(raw string) []string {
	got := regexp.MustCompile(ghost+"[0-9a-f]+").FindAllString(raw, -1)
	slices.Sort(got)
	return slices.Compact(got)
}

// statsSettling are what warms and drains, and how often listeners changed.
const statsSettling = `^(listener_manager\.total_(listeners_warming|listeners_draining|filter_chains_draining)` +
	`|cluster_manager\.warming_clusters|listener_manager\.listener_(added|modified|in_place_updated|removed)|` + proxy.FenceStatistics + `)$`

// beforeDrain is how long after a change became active its drain may take to
// show. The workers take the listener first.
const beforeDrain = 50 * time.Millisecond

// settle returns when the sidecar shows its shape, nothing warms, and what was
// replaced has drained.
func (s *sidecar) settle(ctx context.Context) error {
	s.mu.Lock()
	want := s.want
	s.mu.Unlock()
	w := clusters.StartWait(ctx, fmt.Sprintf("the sidecar of %s in %s", s.workload.Name, s.workload.Range))
	defer w.Done()
	w.Pending("an answer of its admin socket")
	var active time.Time
	drained := false
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		n, found, err := s.look(ctx, want)
		switch {
		case err != nil && s.process.Err() != nil:
			return fmt.Errorf("settle the sidecar of %s: %w%s", s.workload.Name, s.process.Err(), s.lastWords())
		case err == nil && len(found) == 0:
			if active.IsZero() {
				active = time.Now()
			}
			busy := n.busy()
			drained = drained || len(busy) > 0
			if w.Pending(busy...); len(busy) == 0 && (drained || n.changes() == s.calmAt() || time.Since(active) > beforeDrain) {
				s.settledAt(n.changes())
				return nil
			}
		case err == nil:
			w.Pending(found...)
			active = time.Time{}
		}
		select {
		case <-tick.C:
		case <-s.process.Done():
			return fmt.Errorf("settle the sidecar of %s: %w%s", s.workload.Name, s.process.Err(), s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("settle the sidecar of %s: still missing: %s: %w", s.workload.Name,
				w.Missing(), errors.Join(context.Cause(ctx), err))
		}
	}
}

// healthy returns when all sidecars of the range take traffic, whatever they
// enforce: what a mesh does not enforce is for the attacks to show.
func (st *stage) healthy(ctx context.Context) error {
	return meshes.Each(st.sidecars, func(s *sidecar) error { return s.healthy(ctx) })
}

func (s *sidecar) healthy(ctx context.Context) error {
	w := clusters.StartWait(ctx, fmt.Sprintf("the sidecar of %s in %s to be ready", s.workload.Name, s.workload.Range))
	defer w.Done()
	w.Pending("an answer of its admin socket")
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		missing, err := s.admin.Ready(ctx)
		if err == nil && len(missing) == 0 {
			return nil
		}
		if err == nil {
			w.Pending(missing...)
		}
		select {
		case <-tick.C:
		case <-s.process.Done():
			return fmt.Errorf("start the sidecar of %s: %w%s", s.workload.Name, s.process.Err(), s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("start the sidecar of %s: still missing: %s: %w%s", s.workload.Name, w.Missing(), context.Cause(ctx), s.lastWords())
		}
	}
}

// lastWords are those of Envoy's log, and of what it and Consul said besides: a
// proxy that aborts says why there.
func (s *sidecar) lastWords() string {
	return programs.LastWords(s.file(fileJournal)) + programs.LastWords(s.file(fileSaid))
}

func (s *sidecar) calmAt() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calm
}

func (s *sidecar) settledAt(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = n
}

// look is one look at a sidecar: what it lacks, and its counters from after its
// workers took what it shows.
func (s *sidecar) look(ctx context.Context, want shape) (counts, []string, error) {
	all, err := s.admin.listeners(ctx)
	if err != nil {
		return nil, nil, err
	}
	missing := want.lacks(all)
	if len(want.hosts) > 0 {
		there, err := s.admin.hosts(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range want.hosts {
			if !there[name] {
				missing = append(missing, "an endpoint of "+name)
			}
		}
	}
	if len(missing) > 0 {
		return nil, missing, nil
	}
	var n counts
	passed, err := s.admin.workers.Passed(ctx, func(ctx context.Context) (map[string]uint64, error) {
		all, err := s.admin.Stats(ctx, statsSettling)
		n = all.Numbers
		return n, err
	})
	return n, passed, err
}

// counts are statistics by name.
type counts map[string]uint64

// busy says what warms or drains.
func (n counts) busy() []string {
	var out []string
	for _, name := range []string{
		"listener_manager.total_listeners_warming",
		"listener_manager.total_listeners_draining",
		"listener_manager.total_filter_chains_draining",
		"cluster_manager.warming_clusters",
	} {
		if n[name] != 0 {
			out = append(out, fmt.Sprintf("%s is %d", name, n[name]))
		}
	}
	return out
}

// changes is how often listeners changed.
func (n counts) changes() uint64 {
	var sum uint64
	for _, name := range []string{"added", "modified", "in_place_updated", "removed"} {
		sum += n["listener_manager.listener_"+name]
	}
	return sum
}
