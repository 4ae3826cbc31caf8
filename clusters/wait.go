package clusters

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Pause waits until another look is due; false when the context ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// A Wait is something that is waited for: a program that has to answer, a
// sidecar that has to settle. It is safe for concurrent use.
type Wait struct {
	all   *waits // nil where nobody is told
	what  string
	began time.Time

	mu      sync.Mutex
	pending []string
}

// waits are those under way, oldest first.
type waits struct {
	mu   sync.Mutex
	open []*Wait
}

// waitsKey is the key of a context's waits.
type waitsKey struct{}

// reportWaitsEvery is the time between two lines about what is waited for.
const reportWaitsEvery = 10 * time.Second

// ReportWaits tells note every 10 seconds what is waited for under the returned
// context, in one line, until stop is called; stop returns when note is called
// no more. It changes nothing if note is nil, or if somebody is told already.
func ReportWaits(ctx context.Context, note func(string)) (_ context.Context, stop func()) {
	if note == nil || ctx.Value(waitsKey{}) != nil {
		return ctx, func() {}
	}
	all := &waits{}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(reportWaitsEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				if line := all.line(); line != "" {
					note(line)
				}
			}
		}
	}()
	return context.WithValue(ctx, waitsKey{}, all), sync.OnceFunc(func() {
		close(end)
		<-ended
	})
}

// StartWait begins a wait for what, such as "the sidecar of bank in r1". Done
// has to be called at its end.
func StartWait(ctx context.Context, what string) *Wait {
	w := &Wait{what: what, began: time.Now()}
	if all, ok := ctx.Value(waitsKey{}).(*waits); ok {
		w.all = all
		all.mu.Lock()
		defer all.mu.Unlock()
		all.open = append(all.open, w)
	}
	return w
}

// Pending says what is missing at the moment, in place of what was missing before.
func (w *Wait) Pending(missing ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = slices.Clone(missing)
}

// Missing is what is missing at the moment, for an error; empty when nothing is
// known to be.
func (w *Wait) Missing() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.pending, ", ")
}

// Done ends the wait, whether or not it was in vain.
func (w *Wait) Done() {
	if w.all == nil {
		return
	}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.all.open = slices.DeleteFunc(w.all.open, func(o *Wait) bool { return o == w })
}

// mostWaits is how many waits one line names.
const mostWaits = 4

// line says what is waited for; it is empty when nothing is.
func (all *waits) line() string {
	all.mu.Lock()
	defer all.mu.Unlock()
	var parts []string
	for _, w := range all.open[:min(mostWaits, len(all.open))] {
		part := fmt.Sprintf("%s (%s so far)", w.what, time.Since(w.began).Round(time.Second))
		if missing := w.Missing(); missing != "" {
			part += ": " + missing
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	if more := len(all.open) - len(parts); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return "waiting for " + strings.Join(parts, "; ")
}
