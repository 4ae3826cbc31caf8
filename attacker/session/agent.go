package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

// An Agent is what a probe brings into its session.
type Agent struct {
	Attacks  []attacker.Attack // its catalogue
	Foothold attacker.Foothold // its network; each attempt gets kept connections of its own
	App      *app.App          // its application; nil serves nothing
	Silence  time.Duration     // without a word from the harness until everything stops; 5 s when zero
}

const (
	// concurrency is far above the core count: handlers wait, they do not compute.
	concurrency = 256
	// most attempts and loads at the same time.
	mostRunning = 256
	// stopLimit is how long an attack may take to end when it is told to.
	stopLimit = 5 * time.Second
)

// errNotHeard is why attempts end when the heartbeat does.
var errNotHeard = errors.New("the harness was not heard any more")

// agent is one session of an Agent.
type agent struct {
	Agent
	channel *channel
	server  *jrpc2.Server

	mu      sync.Mutex
	kept    *attacker.Connections // of single requests
	tries   map[uint64]context.CancelCauseFunc
	loads   map[uint64]context.CancelCauseFunc
	closed  bool
	running sync.WaitGroup
}

// Serve answers on stream until it ends or ctx does, and then stops all that
// the session started. The end of the stream is not an error.
func Serve(ctx context.Context, stream io.ReadWriteCloser, a Agent) error {
	if a.Silence <= 0 {
		a.Silence = silence
	}
	s := &agent{
		Agent:   a,
		channel: newChannel(stream),
		kept:    attacker.NewConnections(),
		tries:   map[uint64]context.CancelCauseFunc{},
		loads:   map[uint64]context.CancelCauseFunc{},
	}
	s.server = jrpc2.NewServer(s.methods(), &jrpc2.ServerOptions{
		AllowPush:      true,
		DisableBuiltin: true,
		Concurrency:    concurrency,
		NewContext:     func() context.Context { return ctx },
	})
	s.server.Start(strict{s.channel})
	defer context.AfterFunc(ctx, s.server.Stop)()
	ended := make(chan struct{})
	go s.listen(ended)
	err := s.server.Wait()
	close(ended)
	stopErr := s.end()
	// A harness that dies resets the stream: an end like any other.
	if err == nil || ctx.Err() != nil || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return stopErr
	}
	return errors.Join(fmt.Errorf("session: %w", err), stopErr)
}

func (s *agent) methods() handler.Map {
	return handler.Map{
		callHello:    handler.New(s.hello),
		callServe:    handler.New(s.serve),
		callReceipts: handler.New(s.receipts),
		callRequest:  handler.New(s.request),
		callTry:      handler.New(s.try),
		callStopTry:  handler.New(s.stopTry),
		callLoad:     handler.New(s.load),
		callStopLoad: handler.New(s.stopLoad),
		noteCancel:   handler.New(s.cancel),
		notePing:     handler.New(func(context.Context) error { return nil }),
	}
}

// listen stops everything while the harness is silent. The session stays: a
// harness that was only suspended finds its attempts ended, with the reason.
func (s *agent) listen(ended <-chan struct{}) {
	tick := time.NewTicker(s.Silence / 5)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			if s.channel.silent() > s.Silence {
				s.stopAll(errNotHeard)
			}
		}
	}
}

func (s *agent) stopAll(why error) {
	s.mu.Lock()
	for _, cancel := range s.tries {
		cancel(why)
	}
	for _, cancel := range s.loads {
		cancel(why)
	}
	s.mu.Unlock()
	s.kept.CloseAll()
}

// end stops everything and waits for it.
func (s *agent) end() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stopAll(io.EOF)
	_ = s.channel.Close()
	quiet := make(chan struct{})
	go func() {
		s.running.Wait()
		close(quiet)
	}()
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-quiet:
		return nil
	case <-limit.C:
		return fmt.Errorf("session: attacks still run %s after they were told to stop", stopLimit)
	}
}

func (s *agent) hello(context.Context) Hello {
	h := Hello{Version: Version, Pid: os.Getpid()}
	if s.App != nil {
		h.Epoch = s.App.Epoch()
	}
	return h
}

func (s *agent) serve(_ context.Context, p serveParams) error {
	if s.App == nil {
		return errors.New("this probe serves nothing")
	}
	return s.App.Listen(p.Listeners)
}

func (s *agent) receipts(_ context.Context, p receiptsParams) (attacker.Receipts, error) {
	if s.App == nil {
		return attacker.Receipts{}, errors.New("this probe serves nothing")
	}
	return s.App.Receipts(p.Since, pageLimit), nil
}

func (s *agent) request(ctx context.Context, k attacker.Request) (attacker.Observation, error) {
	if err := k.Check(); err != nil {
		return attacker.Observation{}, err
	}
	f := s.Foothold
	f.Kept = s.kept
	return f.Request(ctx, k), nil
}

func (s *agent) cancel(_ context.Context, p cancelParams) error {
	s.server.CancelRequest(p.Call)
	return nil
}
