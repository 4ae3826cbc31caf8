package runner

import (
	"context"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// lookEvery bounds one wait for a signal, after which receipts are looked at.
const lookEvery = 50 * time.Millisecond

// awaited makes one use of an attack whose effect comes after it was answered,
// when somebody else acts on what it left there: it stays until a fact is known
// of every try, a receipt or a word of the authority, or until signals would be
// late. That nothing is known then is for the judge.
func (p *player) awaited(ctx context.Context, target string, u use) (assertions.Call, []assertions.Loot) {
	h := p.hold(ctx, target, u)
	limited, cancel := context.WithTimeout(ctx, p.evidenceTime())
	defer cancel()
	for h.running != nil && len(h.seen()) == 0 && limited.Err() == nil {
		h.wait(limited, 1, time.Time{})
	}
	for _, o := range h.seen() {
		for o.Refusal == nil && limited.Err() == nil && !p.effect(limited, o, u.shows) {
			// Whoever the signal wakes looks again.
		}
	}
	// An attempt that is told to stop leaves nothing, also when time is over.
	stopped, end := context.WithTimeout(context.WithoutCancel(ctx), p.evidenceTime())
	defer end()
	return h.stop(stopped)
}

// effect says whether it is known what came of a try, and waits a little for it.
func (p *player) effect(ctx context.Context, o attacker.Observation, shows string) bool {
	// Receipts that cannot be read are read again with those of the record.
	_ = p.collect(ctx)
	if slices.ContainsFunc(p.seen[o.Nonce], func(r attacker.Receipt) bool { return shows == "" || r.Workload == shows }) {
		return true
	}
	if !p.can(meshes.CanSignal) {
		return !clusters.Pause(ctx, lookEvery)
	}
	spoke := func(found []signals.Signal) bool {
		return slices.ContainsFunc(found, func(s signals.Signal) bool { return s.Workload == signals.FromAuthority })
	}
	brief, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	found, err := p.stage.mesh.Evidence(brief, p.rg, signals.Query{Nonces: []string{o.Nonce}, Since: o.Start, Want: spoke})
	return err != nil || spoke(found)
}

// seen are the observations so far.
func (h *held) seen() []attacker.Observation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.call.Observations)
}
