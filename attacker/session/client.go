package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/creachadair/jrpc2"

	"github.com/meshbreach/meshbreach/attacker"
)

// ErrEnded is why calls, attempts and loads fail when the session is over.
var ErrEnded = errors.New("the session with the probe has ended")

// A Client is the harness's end of a session. It is safe for concurrent use.
// A call ends with its context; the probe is then told to give up on it.
type Client struct {
	rpc   *jrpc2.Client
	ended chan struct{} // closed when the stream is gone
	once  sync.Once
	why   error // ErrEnded, with the reason where there is one; valid once ended is closed

	mu    sync.Mutex
	next  uint64
	tries map[uint64]*Running
	loads map[uint64]*Load
}

// Connect starts a session on stream and its heartbeat. Say Hello first.
func Connect(stream io.ReadWriteCloser) *Client {
	c := &Client{
		ended: make(chan struct{}),
		tries: map[uint64]*Running{},
		loads: map[uint64]*Load{},
	}
	ready := make(chan struct{})
	rpc := jrpc2.NewClient(newChannel(stream), &jrpc2.ClientOptions{
		OnNotify: func(r *jrpc2.Request) {
			<-ready
			c.noted(r)
		},
		OnCancel: func(rpc *jrpc2.Client, r *jrpc2.Response) {
			// The session may be over: then there is nobody to tell.
			_ = rpc.Notify(context.Background(), noteCancel, cancelParams{Call: r.ID()})
		},
		OnStop: func(*jrpc2.Client, error) { c.end(ErrEnded) },
	})
	c.rpc = rpc
	close(ready)
	go c.ping()
	return c
}

// ping tells the probe that we are there. It is a notification: a probe that
// hangs must not hold it up.
func (c *Client) ping() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-tick.C:
			_ = c.rpc.Notify(context.Background(), notePing, nil)
		}
	}
}

// Ended is closed when the session is over.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Close ends the session; the probe stops what it runs for us.
func (c *Client) Close() error {
	return c.rpc.Close()
}

func (c *Client) call(ctx context.Context, act, method string, params, result any) error {
	response, err := c.rpc.Call(ctx, method, params)
	if err == nil && result != nil {
		err = response.UnmarshalResult(result)
	}
	if err == nil {
		return nil
	}
	var told *jrpc2.Error
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case c.rpc.IsStopped():
		<-c.ended // it stops before it says so
		err = c.why
	case errors.As(err, &told):
		err = errors.New(told.Message) // without the protocol's error number
	}
	return fmt.Errorf("%s: %w", act, err)
}

// Hello asks the probe who it is. Another protocol version is an error.
func (c *Client) Hello(ctx context.Context) (Hello, error) {
	var h Hello
	if err := c.call(ctx, "greet the probe", callHello, nil, &h); err != nil {
		return h, err
	}
	if h.Version != Version {
		return h, fmt.Errorf("greet the probe: it speaks version %d of the session, we speak %d; build both anew", h.Version, Version)
	}
	return h, nil
}

// Serve makes the probe's application serve more ports. Ports that it serves
// already, with the same protocol, stay as they are.
func (c *Client) Serve(ctx context.Context, listeners []attacker.Listen) error {
	return c.call(ctx, "serve", callServe, serveParams{listeners}, nil)
}

// Receipts are all that arrived with a sequence number above since, up to the
// moment of the call.
func (c *Client) Receipts(ctx context.Context, since uint64) (attacker.Receipts, error) {
	var all attacker.Receipts
	for {
		var page attacker.Receipts
		if err := c.call(ctx, "read receipts", callReceipts, receiptsParams{since}, &page); err != nil {
			return all, err
		}
		if all.Items == nil {
			all = page
		} else {
			all.Items = append(all.Items, page.Items...)
			all.Lost += page.Lost
		}
		if len(page.Items) == 0 {
			return all, nil
		}
		// Requests go on arriving: the end is where the first page saw it.
		since = page.Items[len(page.Items)-1].Seq
		if since >= all.Last {
			all.Last = since
			return all, nil
		}
	}
}

// Request makes one request from the probe. A refusal is an observation; an
// error means that the request could not be asked for.
func (c *Client) Request(ctx context.Context, k attacker.Request) (attacker.Observation, error) {
	var o attacker.Observation
	err := c.call(ctx, "request", callRequest, k, &o)
	return o, err
}

// noted takes a notification of the probe. One that cannot be read ends the
// session: somebody waits for what it says, and would wait to the deadline.
func (c *Client) noted(r *jrpc2.Request) {
	var err error
	switch r.Method() {
	case noteSeen:
		var n seenNote
		if err = r.UnmarshalParams(&n); err == nil {
			c.with(n.ID, func(t *Running) { t.seen(n) })
		}
	case noteTryEnded:
		var n tryEnded
		if err = r.UnmarshalParams(&n); err == nil {
			c.with(n.ID, func(t *Running) { t.ended(n.Seen, n.Error) })
		}
	case noteLoadEnded:
		var n loadEnded
		if err = r.UnmarshalParams(&n); err == nil {
			c.mu.Lock()
			p := c.loads[n.ID]
			delete(c.loads, n.ID)
			c.mu.Unlock()
			if p != nil {
				p.end(n)
			}
		}
	}
	if err != nil {
		c.end(fmt.Errorf("%w: its notification %q cannot be read: %w", ErrEnded, r.Method(), err))
		// Closing waits for this handler.
		go func() { _ = c.rpc.Close() }()
	}
}

// end ends the session; the first reason stays.
func (c *Client) end(why error) {
	c.once.Do(func() {
		c.why = why
		close(c.ended)
	})
}

func (c *Client) with(id uint64, do func(*Running)) {
	c.mu.Lock()
	t := c.tries[id]
	c.mu.Unlock()
	if t != nil {
		do(t)
	}
}

func (c *Client) number() uint64 {
	c.next++
	return c.next
}
