package scenarios

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
)

// Openings makes every attempt under every weakening, one at a time, and says
// which ones each opens.
func Openings(ctx context.Context, o Options) (map[string][]string, error) {
	o = o.withDefaults()
	st, err := up(ctx, o)
	if err != nil {
		return nil, err
	}
	queue := make(chan clusters.Weakening)
	out := map[string][]string{}
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for _, p := range st.players {
		wg.Go(func() {
			for w := range queue {
				opened := p.openings(ctx, w)
				mu.Lock()
				out[w.Name] = opened
				mu.Unlock()
			}
		})
	}
	for _, w := range clusters.Weakenings() {
		queue <- w
	}
	close(queue)
	wg.Wait()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
	defer cancel()
	return out, st.close(limited)
}

// waits says whether an attempt takes seconds because it waits for the end of
// a certificate.
func waits(a Attempt) bool {
	late, _ := a.With["awaitExpiry"].(bool)
	return late || slices.ContainsFunc(a.Steps, func(s Step) bool { return s.Await != "" })
}

func (p *player) openings(ctx context.Context, w clusters.Weakening) []string {
	var out []string
	for _, s := range p.opts.Scenarios {
		for _, a := range s.Attempts {
			if w.Scope == clusters.ScopeRange && waits(a) {
				continue // no rule reads a clock
			}
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			rec := p.attempt(ctx, s, a, []string{w.Name}, false)
			cancel()
			f := assertions.Judge(rec)
			expected := rec.Expect.Verdict == assertions.Breached && !rec.Expect.Gap
			if assertions.Opened(rec, f) && !expected {
				out = append(out, s.ID+" "+a.ID)
			}
		}
		p.apply(ctx, s, s.Policy)
	}
	slices.Sort(out)
	return out
}
