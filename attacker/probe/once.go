package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

const (
	// onceLimit is how long a proxy beside this program may take to let the one
	// call through.
	onceLimit = 20 * time.Second
	onceEvery = 50 * time.Millisecond
)

// once makes one call until somebody answers it: a proxy that was started
// beside this program may not be ready for it. It is always the same call, with
// the same nonce. Not to have been served is an error.
func once(ctx context.Context, text string, f attacker.Foothold) error {
	var k attacker.Request
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	if err := k.Check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, onceLimit, fmt.Errorf("%s are over", onceLimit))
	defer cancel()
	tick := time.NewTicker(onceEvery)
	defer tick.Stop()
	for last := (attacker.Refusal{}); ; {
		r := f.Request(ctx, k).Refusal
		switch {
		case r == nil:
			return nil
		case decided(*r):
			return fmt.Errorf("refused: %s %d %s", r.Layer, r.Code, r.Text)
		case ctx.Err() == nil: // or else it says only that time was over
			last = *r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nobody answered, at last %s %d %s: %w", last.Layer, last.Code, last.Text, context.Cause(ctx))
		}
	}
}

// decided says whether somebody refused, rather than that nobody could answer.
func decided(r attacker.Refusal) bool {
	return r.Layer == attacker.LayerHTTP && r.Code < 500
}
