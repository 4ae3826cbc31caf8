package attacks

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/attacker"
)

// Keeping says whether the requests of a series share a connection.
type Keeping string

// The ways to keep.
const (
	Kept  Keeping = "kept"
	Fresh Keeping = "fresh"
)

// HoldConnection has the parameters of hold-connection.
type HoldConnection struct {
	Call
	// Protocol is http1 (default), http2, http2-stream or tcp.
	Protocol Protocol `json:"protocol,omitempty" jsonschema:"enum=http1,enum=http2,enum=http2-stream,enum=tcp,default=http1"`
	// Connection is kept (default): one for the whole series; or fresh: one
	// for each request.
	Connection Keeping `json:"connection,omitempty" jsonschema:"enum=kept,enum=fresh,default=kept"`
	// Connections is how many are kept at once, each with a series of its own;
	// one when zero. A proxy's workers take a change at different moments, and a
	// connection stays with its worker.
	Connections int `json:"connections,omitempty" jsonschema:"minimum=0,maximum=64"`
	// Every is the time between two requests of a series; 5ms when zero.
	Every attacker.Duration `json:"every,omitempty"`
	// For ends the series; zero lets it run until it is stopped.
	For attacker.Duration `json:"for,omitempty"`
	// Timeout of one request; 1s when zero.
	Timeout attacker.Duration `json:"timeout,omitempty"`
	// UntilRefused ends the series at the first refusal. Leave it out to
	// measure a window: a request can be served after another was refused.
	UntilRefused bool `json:"untilRefused,omitempty"`
	// Redial opens a new connection when the peer ended a kept one; without
	// it, that ends the series.
	Redial bool `json:"redial,omitempty"`
	// Token is sent as Authorization: Bearer; not for tcp.
	Token *attacker.Token `json:"token,omitempty"`
}

// Loot asks for the token.
func (p *HoldConnection) Loot() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Lasts says whether the series runs until it is stopped.
func (p *HoldConnection) Lasts() bool { return p.For == 0 }

// Check refuses parameters that contradict each other.
func (p *HoldConnection) Check() error {
	return errors.Join(
		oneOf("protocol", p.Protocol, HTTP1, HTTP2, Stream, TCP),
		oneOf("connection", p.Connection, Kept, Fresh),
		refuse(p.Every < 0 || p.For < 0 || p.Timeout < 0, "every, for and timeout cannot be negative"),
		refuse(p.Redial && p.Connection == Fresh, "redial is for a kept connection"),
		refuse(p.Connections < 0 || p.Connections > mostKept, "connections: at most 64"),
		refuse(p.Connections > 0 && p.Connection == Fresh, "connections is for kept ones: fresh ones are as many as requests"),
		refuse(p.Protocol == TCP && p.Request != "", "raw TCP has no request"),
		refuse(p.Protocol == TCP && p.Token != nil, "raw TCP carries no token"),
		checkTokens(p.Token),
		p.Call.Check(),
	)
}

// mostKept bounds the connections that are kept at once.
const mostKept = 64

// inFlight bounds the fresh connections of a series that are open at once: a
// target that never answers must not use up the foothold's sockets.
const inFlight = 256

func holdConnection() attacker.Attack {
	return attacker.New("hold-connection", "Keep calling over an open connection",
		`Sends requests at a steady interval, over kept or fresh connections, until it is
stopped. Each request gives one observation. The series shows which requests
were still served after a policy was tightened, and until when. A tightened
policy must end what it no longer allows.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p HoldConnection, emit func(attacker.Observation)) error {
			token, err := bearer(p.Token)
			if err != nil {
				return err
			}
			s := series{f: f, every: orDefault(p.Every, 5*time.Millisecond), emit: emit}
			s.request = func() attacker.Request {
				k := p.request(nonce(), t, p.Protocol)
				k.Timeout = attacker.Duration(orDefault(p.Timeout, time.Second))
				authorize(&k, token)
				return k
			}
			if p.For > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(p.For))
				defer cancel()
			}
			if p.Connection == Fresh {
				s.fresh(ctx, p.UntilRefused)
				return nil
			}
			if f.Kept == nil {
				return errors.New("this foothold keeps no connections")
			}
			s.several(ctx, p)
			return nil
		})
}

func orDefault(d attacker.Duration, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

// A series is requests at an interval.
type series struct {
	f       attacker.Foothold
	every   time.Duration
	request func() attacker.Request
	emit    func(attacker.Observation)
}

// several are series side by side, each over a connection of its own.
func (s series) several(ctx context.Context, p HoldConnection) {
	var (
		g    sync.WaitGroup
		mu   sync.Mutex
		emit = s.emit
	)
	s.emit = func(o attacker.Observation) {
		mu.Lock()
		defer mu.Unlock()
		emit(o)
	}
	for range max(1, p.Connections) {
		g.Go(func() { s.kept(ctx, p) })
	}
	g.Wait()
}

// kept makes one request after the other. A tick that falls into a request is
// made up for once, right after it; later ones are left out, so a slow answer
// is not followed by a burst.
func (s series) kept(ctx context.Context, p HoldConnection) {
	// A series in the same foothold must not share this one's connection, and
	// nonces are unique.
	first := s.request()
	name := "kept-" + first.Nonce
	defer s.f.Kept.Close(name)

	ticks := time.NewTicker(s.every)
	defer ticks.Stop()
	for k := first; ctx.Err() == nil; k = s.request() {
		k.Connection = name
		// A stop lets the request in flight end: cut off, it would look refused.
		o := s.f.Request(context.WithoutCancel(ctx), k)
		s.emit(o)
		if o.Refusal != nil && (p.UntilRefused || !p.Redial && ended(o.Refusal.Layer)) {
			return
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

// ended says whether a refusal at this layer leaves no connection to go on
// with.
func ended(l attacker.Layer) bool {
	switch l {
	case attacker.LayerHTTP, attacker.LayerGRPC, attacker.LayerToken, attacker.LayerApp:
		return false
	default:
		return true
	}
}

// fresh lets requests overlap, so that one that hangs does not hide what
// happens to the next. Emitted in the order in which they end.
func (s series) fresh(ctx context.Context, untilRefused bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		g  errgroup.Group
		mu sync.Mutex
	)
	g.SetLimit(inFlight)
	ticks := time.NewTicker(s.every)
	defer ticks.Stop()
	for ctx.Err() == nil {
		k := s.request()
		g.Go(func() error {
			o := s.f.Request(context.WithoutCancel(ctx), k)
			mu.Lock()
			defer mu.Unlock()
			s.emit(o)
			if untilRefused && o.Refusal != nil {
				cancel()
			}
			return nil
		})
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
	_ = g.Wait() // nothing in it returns an error
}
