package envoy

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/meshbreach/meshbreach/clusters"
)

// capacity is how many signals a range keeps: the honest load of some minutes,
// about 20 MB. The oldest go first.
const capacity = 1 << 15

// store keeps the signals of a range.
type store struct {
	mu       sync.Mutex
	ring     []record
	first    uint64 // number of the oldest record
	byNonce  map[string][]uint64
	bySource map[netip.AddrPort][]uint64
	hidden   bool
	changed  chan struct{} // nil when nobody waits
}

// A record is a signal with the addresses that join it, also when the policy
// keeps them out of the signal.
type record struct {
	signal clusters.Signal
	source netip.AddrPort // the caller
	onward netip.AddrPort // the sidecar's own end of the connection to the next hop
}

func newStore() *store {
	return &store{byNonce: map[string][]uint64{}, bySource: map[netip.AddrPort][]uint64{}}
}

// conceal keeps callers' addresses out of the signals from now on.
func (s *store) conceal(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = yes
}

func (s *store) add(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.signal.Source, r.signal.Onward = r.source, r.onward
	if s.hidden {
		r.signal.Source, r.signal.Onward = netip.AddrPort{}, netip.AddrPort{}
	}
	if len(s.ring) == capacity {
		s.forget(s.ring[0])
		s.ring = s.ring[1:]
	}
	n := s.first + uint64(len(s.ring))
	s.ring = append(s.ring, r)
	if r.signal.Nonce != "" {
		s.byNonce[r.signal.Nonce] = append(s.byNonce[r.signal.Nonce], n)
	}
	if r.source.IsValid() {
		s.bySource[r.source] = append(s.bySource[r.source], n)
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// forget drops the oldest record from the indexes, where it is always first.
func (s *store) forget(r record) {
	if n := r.signal.Nonce; n != "" {
		if s.byNonce[n] = s.byNonce[n][1:]; len(s.byNonce[n]) == 0 {
			delete(s.byNonce, n)
		}
	}
	if r.source.IsValid() {
		if s.bySource[r.source] = s.bySource[r.source][1:]; len(s.bySource[r.source]) == 0 {
			delete(s.bySource, r.source)
		}
	}
	s.first++
}

// find gives what matches so far, and what is closed when there is more.
func (s *store) find(q clusters.Query) ([]clusters.Signal, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbers []uint64
	named := map[string]bool{"": true}
	for _, nonce := range q.Nonces {
		if nonce != "" {
			numbers = append(numbers, s.byNonce[nonce]...)
			named[nonce] = true
		}
	}
	for _, source := range q.Sources {
		for _, n := range s.from(source) {
			// Another attempt over the same kept connection has another nonce.
			if len(q.Nonces) == 0 || named[s.ring[n-s.first].signal.Nonce] {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	var out []clusters.Signal
	for _, n := range slices.Compact(numbers) {
		if r := s.ring[n-s.first]; !r.signal.Seen.Before(q.Since) {
			out = append(out, r.signal)
		}
	}
	slices.SortStableFunc(out, func(a, b clusters.Signal) int { return a.At.Compare(b.At) })
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return out, s.changed
}

// from are the records of a caller's address and, when his own sidecar passed
// the connection on, those of the address it did that from.
func (s *store) from(source netip.AddrPort) []uint64 {
	out := slices.Clone(s.bySource[source])
	for _, n := range s.bySource[source] {
		if r := s.ring[n-s.first]; !r.signal.Inbound && r.onward.IsValid() && r.onward != source {
			out = append(out, s.bySource[r.onward]...)
		}
	}
	return out
}

// query waits as clusters.Query says.
func (s *store) query(ctx context.Context, q clusters.Query) []clusters.Signal {
	want := q.Want
	if want == nil {
		want = func(found []clusters.Signal) bool {
			return slices.ContainsFunc(found, func(s clusters.Signal) bool { return s.Inbound })
		}
	}
	for {
		found, changed := s.find(q)
		if want(found) {
			return found
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return found
		}
	}
}
