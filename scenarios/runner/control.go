package runner

import (
	"context"

	"github.com/meshbreach/meshbreach/assertions"
)

// control makes the honest calls right before an attempt, and starts the honest
// load: the friend's call, and the twin, which is the attempt with its hostile
// part made benign. A refusal means something only where both are served.
func (r *rangeRunner) control(ctx context.Context, p prepared, rec *assertions.Record) {
	// Attempts with steps are judged by a load of their own, where by any.
	if r.load == nil && len(p.steps) == 0 {
		// The control goes the same way and says why a load could not be started.
		if l, err := r.startLoad(ctx, p.control, r.opts.Rate); err == nil {
			l.policy = fingerprint(p.policy)
			r.load = l
		}
	}
	rec.Before = r.honest(ctx, p, assertions.RoleControl)
}

// honest makes the friend's call in a role, and the twin.
func (r *rangeRunner) honest(ctx context.Context, p prepared, role string) []assertions.Call {
	friend := p.control
	friend.role = role
	made, _ := r.call(ctx, friend)
	out := []assertions.Call{made}
	if p.twin != nil {
		made, _ = r.call(ctx, *p.twin)
		out = append(out, made)
	}
	return out
}
