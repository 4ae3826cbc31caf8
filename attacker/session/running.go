package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/meshbreach/meshbreach/attacker"
)

// errAsked is why an attempt ends when the harness asks for it: a hold that is
// over, not a failure.
var errAsked = errors.New("asked to stop")

// begin registers something that runs; its context ends with stop or with the
// session.
func (s *agent) begin(where map[uint64]context.CancelCauseFunc, id uint64) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, errors.New("the session has ended")
	case where[id] != nil:
		return nil, nil, fmt.Errorf("number %d is running already", id)
	case len(s.tries)+len(s.loads) >= mostRunning:
		return nil, nil, fmt.Errorf("more than %d attempts and loads at the same time", mostRunning)
	}
	// Not the context of the call: that one ends when the call is answered.
	ctx, cancel := context.WithCancelCause(context.Background())
	where[id] = cancel
	s.running.Add(1)
	return ctx, func() {
		cancel(nil)
		s.mu.Lock()
		delete(where, id)
		s.mu.Unlock()
		s.running.Done()
	}, nil
}

func (s *agent) halt(where map[uint64]context.CancelCauseFunc, id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// One that has just ended is not there any more; its note is under way.
	if cancel := where[id]; cancel != nil {
		cancel(errAsked)
	}
}

// try starts an attempt; what it sees follows as notifications.
func (s *agent) try(_ context.Context, p tryParams) error {
	i := slices.IndexFunc(s.Attacks, func(a attacker.Attack) bool { return a.Name() == p.Attempt.Attack })
	if i < 0 {
		return fmt.Errorf("this probe knows no attack %q", p.Attempt.Attack)
	}
	attack := s.Attacks[i]
	if _, err := attack.Decode(p.Attempt.Params); err != nil {
		return err
	}
	ctx, finish, err := s.begin(s.tries, p.ID)
	if err != nil {
		return err
	}
	go func() {
		defer finish()
		seen, err := s.attempt(ctx, attack, p)
		s.notify(noteTryEnded, tryEnded{ID: p.ID, Seen: seen, Error: text(err)})
	}()
	return nil
}

// attempt runs one attack to its end and says how much it saw.
func (s *agent) attempt(ctx context.Context, attack attacker.Attack, p tryParams) (seen uint64, err error) {
	f := s.Foothold
	f.Workload = p.Attempt.Foothold
	f.Kept = attacker.NewConnections()
	defer f.Kept.CloseAll()
	var nonces, sent atomic.Uint64
	nonce := func() string { return p.Attempt.Prefix + "-" + strconv.FormatUint(nonces.Add(1), 10) }
	emit := func(o attacker.Observation) {
		s.notify(noteSeen, seenNote{ID: p.ID, Seq: sent.Add(1) - 1, Seen: o})
	}
	// An attack may be a user's own: its mistake must not take the target
	// application of this workload down with it.
	defer func() {
		seen = sent.Load()
		if r := recover(); r != nil {
			err = fmt.Errorf("attack %s panicked: %v", attack.Name(), r)
		}
	}()
	err = attack.Try(ctx, f, p.Attempt.Target, nonce, p.Attempt.Params, emit)
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return seen, err
	case errors.Is(cause, errAsked) && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errAsked)):
		return seen, nil
	case errors.Is(cause, errAsked):
		return seen, err
	default:
		return seen, cause
	}
}

func (s *agent) stopTry(_ context.Context, p idParams) error {
	s.halt(s.tries, p.ID)
	return nil
}

// load starts honest load; its result follows as a notification.
func (s *agent) load(_ context.Context, p loadParams) error {
	if err := p.Load.Check(); err != nil {
		return err
	}
	ctx, finish, err := s.begin(s.loads, p.ID)
	if err != nil {
		return err
	}
	running := attacker.StartLoad(ctx, s.Foothold, p.Load)
	go func() {
		defer finish()
		<-running.Done()
		result, err := running.Stop(context.Background())
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errAsked) {
			err = cause
		}
		s.notify(noteLoadEnded, loadEnded{ID: p.ID, Result: result, Error: text(err)})
	}()
	return nil
}

func (s *agent) stopLoad(_ context.Context, p idParams) error {
	s.halt(s.loads, p.ID)
	return nil
}

// notify sends to the harness. When that fails the session is ending and
// nobody is left to tell.
func (s *agent) notify(method string, note any) {
	_ = s.server.Notify(context.Background(), method, note)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
