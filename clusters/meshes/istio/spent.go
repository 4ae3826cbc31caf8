package istio

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// spent is where the time of an installation went. Ranges are made side by
// side, so the longest of each part is kept.
type spent struct {
	mu    sync.Mutex
	parts []part
}

type part struct {
	what string
	took time.Duration
}

// since notes a part that began at a time.
func (s *spent) since(began time.Time, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := time.Since(began)
	i := slices.IndexFunc(s.parts, func(p part) bool { return p.what == what })
	if i < 0 {
		s.parts = append(s.parts, part{what, took})
		return
	}
	s.parts[i].took = max(s.parts[i].took, took)
}

// list is all parts, the longest first.
func (s *spent) list() []part {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.parts)
	slices.SortStableFunc(out, func(a, b part) int { return cmp.Compare(b.took, a.took) })
	return out
}
