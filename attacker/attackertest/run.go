package attackertest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// patience bounds every wait of this package.
const patience = 10 * time.Second

// Run makes one attempt and returns what it saw, in the order of emission. The
// parameters are a struct of the attack or json.RawMessage. An error of the
// attack, an observation with a nonce that was not given out or was used
// twice, and one that holds loot fail the test.
func Run(t testing.TB, a attacker.Attack, f attacker.Foothold, target attacker.Target, params any) []attacker.Observation {
	t.Helper()
	r := Start(t, a, f, target, params)
	return r.Wait()
}

// Running is an attempt that goes on until it is stopped.
type Running struct {
	t       testing.TB
	stop    context.CancelFunc
	done    chan struct{}
	err     error // set before done is closed
	secrets []string
	prefix  string // of its nonces: a server may be attacked more than once
	mu      sync.Mutex
	given   map[string]bool // nonces, true once they were seen
	seen    []attacker.Observation
	changed chan struct{} // closed and renewed with every observation
}

// Start begins an attempt. Stop or Wait must end it; the end of the test does
// in any case.
func Start(t testing.TB, a attacker.Attack, f attacker.Foothold, target attacker.Target, params any) *Running {
	t.Helper()
	raw, err := json.Marshal(params)
	if err != nil {
		t.Fatalf("write parameters of %s: %v", a.Name(), err)
	}
	decoded, err := a.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &Running{
		t: t, stop: cancel, done: make(chan struct{}),
		secrets: loot(decoded), prefix: rand.Text()[:8],
		given: map[string]bool{}, changed: make(chan struct{}),
	}
	go func() {
		defer close(r.done)
		r.err = a.Try(ctx, f, target, r.nonce, raw, r.emit)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// Stop ends the attempt and returns what it saw.
func (r *Running) Stop() []attacker.Observation {
	r.t.Helper()
	r.stop()
	return r.Wait()
}

// Wait waits for the attempt to end by itself and returns what it saw.
func (r *Running) Wait() []attacker.Observation {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the attempt did not end")
	}
	if r.err != nil {
		r.t.Fatalf("the attempt could not be made: %v", r.err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// Until waits until the fact is true of what was seen so far.
func (r *Running) Until(what string, fact func([]attacker.Observation) bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		ok, changed := fact(r.seen), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-r.done:
			r.mu.Lock()
			ok = fact(r.seen)
			r.mu.Unlock()
			if !ok {
				r.t.Fatalf("the attempt ended before %s (error: %v)", what, r.err)
			}
			return
		case <-deadline:
			r.t.Fatalf("waited too long until %s", what)
		}
	}
}

func (r *Running) nonce() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := fmt.Sprintf("%s-%d", r.prefix, len(r.given)+1)
	r.given[n] = false
	return n
}

func (r *Running) emit(o attacker.Observation) {
	text, err := json.Marshal(o)
	if err != nil {
		r.t.Errorf("write observation %s: %v", o.Nonce, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if used, ok := r.given[o.Nonce]; !ok || used {
		r.t.Errorf("observation with nonce %q, which was not given out or was used before", o.Nonce)
	}
	r.given[o.Nonce] = true
	for _, s := range r.secrets {
		if strings.Contains(string(text), s) {
			r.t.Errorf("observation %s holds loot", o.Nonce)
		}
	}
	r.seen = append(r.seen, o)
	close(r.changed)
	r.changed = make(chan struct{})
}

// loot is what no observation may hold: tokens and keys, and the part of each
// that alone would be enough to use or to recognise it.
func loot(params any) []string {
	h, ok := params.(attacker.LootUser)
	if !ok {
		return nil
	}
	var secrets []string
	leaves, tokens := h.Loot()
	for _, l := range leaves {
		if l.Held != nil {
			secrets = append(secrets, lines(l.Held.Key)...)
		}
	}
	for _, t := range tokens {
		for _, part := range strings.Split(t.Held, ".") {
			if len(part) >= 16 {
				secrets = append(secrets, part)
			}
		}
	}
	return secrets
}

// lines are the lines of a PEM block, without its first and last.
func lines(block string) []string {
	var inner []string
	for _, l := range strings.Split(block, "\n") {
		if l != "" && !strings.HasPrefix(l, "-----") {
			inner = append(inner, l)
		}
	}
	return inner
}
