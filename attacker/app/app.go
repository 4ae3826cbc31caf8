// Package app is the target application of a probe. It serves everybody with
// everything, believes every identity, and writes a receipt for each request:
// only what stands before it can keep an attacker out.
package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// The protocols of attacker.Listen.
const (
	HTTP = "http"
	TCP  = "tcp"
)

// Options of an App. The zero value is good.
type Options struct {
	Epoch    string           // of this process; random when empty
	Capacity int              // receipts kept; 200,000 when zero
	Now      func() time.Time // time.Now when nil
	Log      *log.Logger      // complaints about single connections; nil drops them
}

// An App serves ports until Close. Make one with Start.
type App struct {
	receipts *receiptRing
	secure   *tls.Config
	log      *log.Logger

	mu     sync.Mutex
	open   []*port
	conns  map[net.Conn]struct{} // the connections that no http.Server owns
	closed bool
	work   sync.WaitGroup
}

// port is one Listen that is served.
type port struct {
	asked    attacker.Listen
	listener net.Listener
	http     *http.Server // nil for TCP
}

// Start serves the listeners on all addresses; port 0 takes a free one, see
// Ports.
func Start(listeners []attacker.Listen, opts Options) (*App, error) {
	if opts.Epoch == "" {
		opts.Epoch = rand.Text()
	}
	if opts.Capacity <= 0 {
		opts.Capacity = 200_000
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	secure, err := anyone(opts.Now())
	if err != nil {
		return nil, fmt.Errorf("start app: %w", err)
	}
	a := &App{
		receipts: newReceiptRing(opts.Epoch, opts.Capacity, opts.Now),
		secure:   secure,
		log:      opts.Log,
		conns:    map[net.Conn]struct{}{},
	}
	if a.log == nil {
		a.log = log.New(io.Discard, "", 0)
	}
	if err := a.Listen(listeners); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Epoch is the name of this process in its receipts.
func (a *App) Epoch() string { return a.receipts.epoch }

// Listen serves more ports. One that is served already, with the same
// protocol, is left as it is.
func (a *App) Listen(listeners []attacker.Listen) error {
	for _, l := range listeners {
		if err := a.listen(l); err != nil {
			return fmt.Errorf("serve port %d: %w", l.Port, err)
		}
	}
	return nil
}

func (a *App) listen(l attacker.Listen) error {
	if l.Protocol != HTTP && l.Protocol != TCP {
		return fmt.Errorf("protocol %q is neither %s nor %s", l.Protocol, HTTP, TCP)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return net.ErrClosed
	}
	if l.Port != 0 && slices.ContainsFunc(a.open, func(p *port) bool { return p.asked == l }) {
		return nil
	}
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(l.Port))
	if err != nil {
		return err
	}
	p := &port{asked: l, listener: listener}
	a.open = append(a.open, p)
	if l.Protocol == HTTP {
		a.serveHTTP(p)
	} else {
		a.work.Go(func() { a.serveTCP(p) })
	}
	return nil
}

// Ports are the port numbers that are served, in the order they were asked for.
func (a *App) Ports() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	ports := make([]int, 0, len(a.open))
	for _, p := range a.open {
		ports = append(ports, p.number())
	}
	return ports
}

func (p *port) number() int {
	if a, ok := p.listener.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return p.asked.Port
}

// Receipts is a page of what arrived with a sequence number above since, at
// most limit of them; 0 is all.
func (a *App) Receipts(since uint64, limit int) attacker.Receipts {
	return a.receipts.page(since, limit)
}

// Close ends all listeners and connections. The receipts can still be read.
func (a *App) Close() error {
	a.mu.Lock()
	a.closed = true
	open := a.open
	conns := make([]net.Conn, 0, len(a.conns))
	for c := range a.conns {
		conns = append(conns, c)
	}
	a.mu.Unlock()
	var errs []error
	for _, p := range open {
		err := p.listener.Close()
		if p.http != nil {
			err = p.http.Close()
		}
		if err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
	a.work.Wait()
	return errors.Join(errs...)
}

// track remembers a connection for Close; false means it is too late.
func (a *App) track(c net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		_ = c.Close()
		return false
	}
	a.conns[c] = struct{}{}
	return true
}

func (a *App) release(c net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
}

// accept calls each for every connection until the listener is closed.
func (a *App) accept(l net.Listener, each func(net.Conn)) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of descriptors, or a client that left: the next one may do.
			a.log.Printf("accept: %v", err)
			pause(context.Background(), 5*time.Millisecond)
			continue
		}
		if a.track(c) {
			a.work.Go(func() { each(c) })
		}
	}
}

// pause gives an exhausted system a moment.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
