package envoy

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// A debt is what has to end before a change holds for everybody. RBAC judges a
// request when it begins and a connection when it is made, so what began
// before the change is not judged again.
type debt int

const (
	nothing     debt = iota
	streams          // HTTP streams and TCP connections that the old rules let in
	connections      // every connection: the old trust let it in
)

// owes compares two policies for one workload. It errs on the side of owing:
// a debt costs nothing unless something is open.
func owes(before, after policy.Policy, workload string) debt {
	if !trusts(after.Trust, before.Trust) {
		return connections
	}
	if !allows(after, before, workload) {
		return streams
	}
	return nothing
}

// trusts says whether a admits every certificate that b admits.
func trusts(a, b policy.Trust) bool {
	return (a.AcceptExpired || !b.AcceptExpired) &&
		(a.AnyTrustDomain || !b.AnyTrustDomain) &&
		(a.OptionalCertificate || !b.OptionalCertificate) &&
		!slices.ContainsFunc(b.ExtraRoots, func(root string) bool { return !slices.Contains(a.ExtraRoots, root) })
}

// allows says whether a surely allows all that b allows at a workload.
func allows(a, b policy.Policy, workload string) bool {
	rulesA, rulesB := rulesAt(a, workload), rulesAt(b, workload)
	switch {
	case a.Open && len(rulesA) == 0:
		return true
	case b.Open && len(rulesB) == 0:
		return false
	case !reflect.DeepEqual(a.Tokens, b.Tokens) && slices.ContainsFunc(rulesB, func(r policy.Rule) bool { return r.Token != nil }):
		return false
	case a.Tokens != nil && !reflect.DeepEqual(a.Tokens, b.Tokens):
		return false
	}
	return !slices.ContainsFunc(rulesB, func(r policy.Rule) bool {
		return !slices.ContainsFunc(rulesA, func(s policy.Rule) bool { return reflect.DeepEqual(r, s) })
	})
}

func rulesAt(p policy.Policy, workload string) []policy.Rule {
	var out []policy.Rule
	for _, r := range p.Allow {
		if r.To == workload {
			out = append(out, r)
		}
	}
	return out
}

// The statistics that settling reads. Envoy writes them under the name of the
// filter chain, which holds the generation.
const (
	statsSettling = `^(listener_manager\.total_(listeners_warming|listeners_draining|filter_chains_draining)` +
		`|cluster_manager\.warming_clusters|(listener_manager\.lds|cluster_manager\.cds|extension_config_discovery\..*)\.version_text` +
		`|listener\.0\.0\.0\.0_15006\.downstream_cx_active` +
		`|connection_limit\..*\.active_connections` +
		`|http\.http-.*\.downstream_(cx|rq)_active)$`
	statInbound = "listener.0.0.0.0_15006.downstream_cx_active"
)

// An open is what an Envoy has open towards its application.
type open struct {
	all      int            // connections
	tcp      int            // connections that are not HTTP
	requests int            // HTTP streams
	byChain  map[string]int // connections
}

func (s *sidecar) open(ctx context.Context) (open, proxy.Stats, error) {
	all, err := s.admin.main.Stats(ctx, statsSettling)
	if err != nil {
		return open{}, proxy.Stats{}, err
	}
	o := open{all: int(all.Numbers[statInbound]), byChain: map[string]int{}}
	for name, count := range all.Numbers {
		n := int(count)
		if chain, ok := between(name, "http.", ".downstream_cx_active"); ok {
			o.byChain[chain] = n
		} else if chain, ok = between(name, "connection_limit.", ".active_connections"); ok {
			o.byChain[chain] = n
			o.tcp += n
		} else if _, ok = between(name, "http.", ".downstream_rq_active"); ok {
			o.requests += n
		}
	}
	return o, all, nil
}

func between(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}

// patience is how long settling waits for honest short requests to end before
// it ends what is open by force; for connections, until idle ones have ended.
const (
	patience           = 30 * time.Millisecond
	patienceConnection = idle + 100*time.Millisecond
)

// pay ends what a change must not let live on. The new rules are active when
// it is called, so a moment in which nothing old is open proves that nothing
// old is left; only when there is no such moment, all inbound chains are
// replaced. Then Envoy drains them: HTTP connections are closed after their
// next answer, and what is still open after the drain time is cut off.
func (s *sidecar) pay(ctx context.Context, revision string) (cut bool, err error) {
	s.mu.Lock()
	owed := s.debt
	s.mu.Unlock()
	if owed == nothing {
		return false, nil
	}
	free, err := s.free(ctx, owed)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.debt = nothing; free {
		return false, nil
	}
	s.generation++
	return true, s.tell(ctx, revision)
}

// free waits a little for a moment without anything old.
func (s *sidecar) free(ctx context.Context, owed debt) (bool, error) {
	limit := patience
	if owed == connections {
		limit = patienceConnection
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	noRequests, noTCP := false, false
	for {
		o, _, err := s.open(ctx)
		if err != nil {
			return false, err
		}
		// The two moments need not be the same one.
		noRequests, noTCP = noRequests || o.requests == 0, noTCP || o.tcp == 0
		if o.all == 0 || owed == streams && noRequests && noTCP {
			return true, nil
		}
		if !clusters.Pause(within, pollEvery) {
			return false, nil
		}
	}
}

// pollEvery is the time between two looks at a sidecar.
const pollEvery = 2 * time.Millisecond

// drained says what of the replaced chains is still alive. Envoy keeps a
// drained chain for the whole drain time even when nobody is in it; that is
// not waited for, since nobody can come in any more either.
func (s *sidecar) drained(n proxy.Stats, o open) []string {
	draining := n.Numbers["listener_manager.total_filter_chains_draining"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if draining == 0 {
		clear(s.retired)
		return nil
	}
	var missing []string
	for _, chain := range slices.Sorted(maps.Keys(s.retired)) {
		if o.byChain[chain] > 0 {
			missing = append(missing, fmt.Sprintf("%d connections of the replaced chain %s", o.byChain[chain], chain))
		}
	}
	return missing
}
