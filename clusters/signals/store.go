package signals

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// capacity is how many signals a range keeps: the honest load of some minutes,
// about 20 MB. The oldest go first.
const capacity = 1 << 15

// A Store keeps the newest signals of a range, found by nonce and by source. It
// is safe for concurrent use.
type Store struct {
	mu       sync.Mutex
	ring     []Record
	first    uint64 // number of the oldest record
	byNonce  map[string][]uint64
	bySource map[netip.AddrPort][]uint64
	hidden   bool
	changed  chan struct{} // nil when nobody waits
}

// A Record is a signal with the addresses that join it, also when the policy
// keeps them out of the signal.
type Record struct {
	Signal Signal
	Source netip.AddrPort // the caller
	Onward netip.AddrPort // the proxy's own end of the connection to the next hop
}

// NewStore is a store with nothing in it.
func NewStore() *Store {
	return &Store{byNonce: map[string][]uint64{}, bySource: map[netip.AddrPort][]uint64{}}
}

// Conceal keeps callers' addresses out of the signals from now on.
func (s *Store) Conceal(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = yes
}

// Add keeps a record, and lets go of the oldest one when the store is full.
func (s *Store) Add(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Signal.Source, r.Signal.Onward = r.Source, r.Onward
	// A token can travel in a query, and must not reach a record.
	r.Signal.Path, _, _ = strings.Cut(r.Signal.Path, "?")
	if s.hidden {
		r.Signal.Source, r.Signal.Onward = netip.AddrPort{}, netip.AddrPort{}
	}
	if len(s.ring) == capacity {
		s.forget(s.ring[0])
		s.ring = s.ring[1:]
	}
	n := s.first + uint64(len(s.ring))
	s.ring = append(s.ring, r)
	if r.Signal.Nonce != "" {
		s.byNonce[r.Signal.Nonce] = append(s.byNonce[r.Signal.Nonce], n)
	}
	if r.Source.IsValid() {
		s.bySource[r.Source] = append(s.bySource[r.Source], n)
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// forget drops the oldest record from the indexes, where it is always first.
func (s *Store) forget(r Record) {
	if n := r.Signal.Nonce; n != "" {
		if s.byNonce[n] = s.byNonce[n][1:]; len(s.byNonce[n]) == 0 {
			delete(s.byNonce, n)
		}
	}
	if r.Source.IsValid() {
		if s.bySource[r.Source] = s.bySource[r.Source][1:]; len(s.bySource[r.Source]) == 0 {
			delete(s.bySource, r.Source)
		}
	}
	s.first++
}

// find gives what matches so far, and what is closed when there is more.
func (s *Store) find(q Query) ([]Signal, <-chan struct{}) {
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
	for _, source := range distinct(q.Sources) {
		for _, n := range s.from(source) {
			// Another attempt over the same kept connection has another nonce.
			if len(q.Nonces) == 0 || named[s.ring[n-s.first].Signal.Nonce] {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	out := make([]Signal, 0, len(numbers))
	for _, n := range numbers {
		if r := s.ring[n-s.first]; !r.Signal.Seen.Before(q.Since) {
			out = append(out, r.Signal)
		}
	}
	slices.SortStableFunc(out, func(a, b Signal) int { return a.At.Compare(b.At) })
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return out, s.changed
}

// distinct are addresses without repetition: all tries over a kept connection
// have the same one, and each of them asks.
func distinct(all []netip.AddrPort) []netip.AddrPort {
	all = slices.Clone(all)
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

// from are the records of a caller's address and, when his own proxy passed
// the connection on, those of the address it did that from.
func (s *Store) from(source netip.AddrPort) []uint64 {
	out := slices.Clone(s.bySource[source])
	for _, n := range s.bySource[source] {
		if r := s.ring[n-s.first]; !r.Signal.Inbound && r.Onward.IsValid() && r.Onward != source {
			out = append(out, s.bySource[r.Onward]...)
		}
	}
	return out
}

// Query waits as the type Query says.
func (s *Store) Query(ctx context.Context, q Query) []Signal {
	want := q.Want
	if want == nil {
		want = func(found []Signal) bool {
			return slices.ContainsFunc(found, func(s Signal) bool { return s.Inbound })
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
