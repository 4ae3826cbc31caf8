package runner

import (
	"context"

	"github.com/meshbreach/meshbreach/assertions"
)

// fence makes the honest calls right after an attempt. The friend's has a
// receipt at the target that could have received the attempt: so it was there
// until then, and nothing arrived in between.
func (r *rangeRunner) fence(ctx context.Context, p prepared, rec *assertions.Record) {
	rec.After = r.honest(ctx, p, assertions.RoleFence)
}
