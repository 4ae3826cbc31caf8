package runner

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
)

// held is a lasting attack that runs.
type held struct {
	mu      sync.Mutex
	call    assertions.Call
	loot    []assertions.Loot
	running interface{ Stop(context.Context) error }
	changed chan struct{}
}

func (p *player) hold(ctx context.Context, target string, u use) *held {
	h := &held{call: assertions.Call{Role: u.role, From: u.from, Attack: u.attack}, changed: make(chan struct{}, 1)}
	running, loot, err := p.start(ctx, target, u, func(o attacker.Observation) {
		h.mu.Lock()
		h.call.Observations = append(h.call.Observations, o)
		h.mu.Unlock()
		select {
		case h.changed <- struct{}{}:
		default:
		}
	})
	h.loot = loot
	if err != nil {
		h.call.Error = err.Error()
		return h
	}
	h.running = running
	return h
}

// wait returns when n tries that began after since have ended, or after a
// second: an attack may have lost its connection for good.
func (h *held) wait(ctx context.Context, n int, since time.Time) {
	limit := time.NewTimer(freshLimit)
	defer limit.Stop()
	for {
		h.mu.Lock()
		got := 0
		for _, o := range h.call.Observations {
			if o.Start.After(since) {
				got++
			}
		}
		dead := h.call.Error != ""
		h.mu.Unlock()
		if got >= n || dead {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-limit.C:
			return
		case <-h.changed:
		}
	}
}

func (h *held) stop(ctx context.Context) (assertions.Call, []assertions.Loot) {
	var err error
	if h.running != nil {
		err = h.running.Stop(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.call.Error = err.Error()
	}
	// Fresh requests overlap and are told in the order in which they end.
	slices.SortStableFunc(h.call.Observations, func(a, b attacker.Observation) int { return a.Start.Compare(b.Start) })
	return h.call, h.loot
}
