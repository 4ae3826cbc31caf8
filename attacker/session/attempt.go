package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/meshbreach/meshbreach/attacker"
)

// Running is an attempt under way on a probe.
type Running struct {
	client *Client
	id     uint64
	attack string
	emit   func(attacker.Observation)
	done   chan struct{} // closed when everything was emitted
	err    error         // valid when done is closed

	mu    sync.Mutex
	came  map[uint64]attacker.Observation // arrived, not emitted yet
	total *uint64                         // how many there are, once the attempt has ended
	told  error                           // how it ended
	wake  chan struct{}                   // something changed; holds one token
}

// Start begins an attempt and returns as soon as the probe has taken it. Each
// observation is given to emit as it is made, in order, one at a time, from
// another goroutine. The attempt goes on when ctx ends: ctx is for the start
// only. An unknown attack or parameters that do not fit are an error.
func (c *Client) Start(ctx context.Context, a Attempt, emit func(attacker.Observation)) (*Running, error) {
	c.mu.Lock()
	t := &Running{
		client: c, id: c.number(), attack: a.Attack, emit: emit,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		came: map[uint64]attacker.Observation{},
	}
	c.tries[t.id] = t
	c.mu.Unlock()
	if err := c.call(ctx, "try "+a.Attack, callTry, tryParams{t.id, a}, nil); err != nil {
		// It may run all the same, when only our patience ended.
		_ = c.rpc.Notify(context.WithoutCancel(ctx), callStopTry, idParams{t.id})
		c.drop(t)
		return nil, err
	}
	go t.deliver()
	return t, nil
}

func (c *Client) drop(t *Running) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tries, t.id)
}

// Try makes an attempt and returns when it is over and everything was emitted.
// When ctx ends, the probe stops the attempt and Try returns nil with what was
// emitted until then: ending a hold is not a failure. When the probe cannot be
// told or does not end it, that is an error.
func (c *Client) Try(ctx context.Context, a Attempt, emit func(attacker.Observation)) error {
	t, err := c.Start(ctx, a, emit)
	if err != nil {
		return err
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	return t.Stop(limited)
}

// Wait returns when the attempt has ended by itself or was stopped, and
// everything was emitted. The error is why the attempt could not be made; ctx
// only ends the waiting.
func (t *Running) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", t.attack, context.Cause(ctx))
	}
}

// Done is closed when the attempt is over and everything was emitted.
func (t *Running) Done() <-chan struct{} { return t.done }

// Stop tells the probe to end the attempt and waits until it has ended and
// everything was emitted. Being stopped is not an error of the attempt.
func (t *Running) Stop(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	default:
	}
	if err := t.client.call(ctx, "stop "+t.attack, callStopTry, idParams{t.id}, nil); err != nil {
		return err
	}
	return t.Wait(ctx)
}

func (t *Running) seen(n seenNote) {
	t.mu.Lock()
	t.came[n.Seq] = n.Seen
	t.mu.Unlock()
	t.stir()
}

func (t *Running) ended(total uint64, why string) {
	t.mu.Lock()
	t.total = &total
	if why != "" {
		t.told = fmt.Errorf("try %s: %w", t.attack, errors.New(why))
	}
	t.mu.Unlock()
	t.stir()
}

func (t *Running) stir() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// deliver emits in order until all is emitted or the session is over.
func (t *Running) deliver() {
	defer close(t.done)
	defer t.client.drop(t)
	for next := uint64(0); ; {
		t.mu.Lock()
		o, ok := t.came[next]
		delete(t.came, next)
		over := t.total != nil && next >= *t.total
		told := t.told
		t.mu.Unlock()
		switch {
		case ok:
			next++
			t.emit(o)
			continue
		case over:
			t.err = told
			return
		}
		select {
		case <-t.wake:
		case <-t.client.ended:
			t.err = fmt.Errorf("try %s: %w", t.attack, t.client.why)
			return
		}
	}
}

// Load is honest load under way on a probe.
type Load struct {
	client *Client
	id     uint64
	done   chan struct{}
	result attacker.LoadResult // valid when done is closed
	err    error
}

// StartLoad begins honest load; ctx is for the start only. A load that
// cannot be made is an error.
func (c *Client) StartLoad(ctx context.Context, p attacker.Load) (*Load, error) {
	c.mu.Lock()
	load := &Load{client: c, id: c.number(), done: make(chan struct{})}
	c.loads[load.id] = load
	c.mu.Unlock()
	if err := c.call(ctx, "start load", callLoad, loadParams{load.id, p}, nil); err != nil {
		_ = c.rpc.Notify(context.WithoutCancel(ctx), callStopLoad, idParams{load.id})
		c.mu.Lock()
		delete(c.loads, load.id)
		c.mu.Unlock()
		return nil, err
	}
	return load, nil
}

// Stop ends the load and waits for the requests in flight. A load that ended
// by itself gives its result all the same. When the probe stopped it because
// the harness was not heard, there is a result and an error.
func (p *Load) Stop(ctx context.Context) (attacker.LoadResult, error) {
	select {
	case <-p.done:
		return p.result, p.err
	default:
	}
	if err := p.client.call(ctx, "stop load", callStopLoad, idParams{p.id}, nil); err != nil {
		return attacker.LoadResult{}, err
	}
	select {
	case <-p.done:
		return p.result, p.err
	case <-p.client.ended:
		return attacker.LoadResult{}, fmt.Errorf("stop load: %w", p.client.why)
	case <-ctx.Done():
		return attacker.LoadResult{}, fmt.Errorf("stop load: %w", context.Cause(ctx))
	}
}

// Done is closed when the load has ended and its result is there.
func (p *Load) Done() <-chan struct{} { return p.done }

func (p *Load) end(n loadEnded) {
	p.result = n.Result
	if n.Error != "" {
		p.err = fmt.Errorf("load: %w", errors.New(n.Error))
	}
	close(p.done)
}
