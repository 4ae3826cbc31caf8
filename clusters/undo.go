package clusters

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Undo is a stack of things to take back. The zero value works; it is safe
// for concurrent use.
type Undo struct {
	mu    sync.Mutex
	steps []step
}

type step struct {
	what string
	do   func(context.Context) error
}

// Push adds a step that takes back what.
func (u *Undo) Push(what string, do func(context.Context) error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.steps = append(u.steps, step{what, do})
}

// Run takes everything back, last first, and keeps all errors. The context
// should not be the one whose end made the undo necessary.
func (u *Undo) Run(ctx context.Context) error {
	u.mu.Lock()
	steps := u.steps
	u.steps = nil
	u.mu.Unlock()
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if err := steps[i].do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", steps[i].what, err))
		}
	}
	return errors.Join(errs...)
}
