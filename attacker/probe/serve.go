package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/meshbreach/meshbreach/attacker/session"
)

// serveSocket takes sessions on a unix socket until ctx ends. The newest one
// counts: an older one, whose harness may be gone without a word, is ended
// with all that it started before the new one begins. What the application
// holds outlives them all.
func serveSocket(ctx context.Context, path string, agent session.Agent) error {
	// A container that was started again finds the socket of the one before.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take sessions: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("take sessions: %w", err)
	}
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("take sessions: %w", err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		reap(ctx)
	}()
	end := func() {}
	defer func() {
		cancel()
		end()
		<-reaped
	}()
	for {
		stream, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = stream.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("take sessions: %w", err)
		}
		end()
		end = begin(ctx, stream, agent)
	}
}

// begin serves one session beside the caller; the function that it returns
// ends it and waits for that.
func begin(ctx context.Context, stream io.ReadWriteCloser, agent session.Agent) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The harness comes back with another session: this one's mishap is
		// not the probe's end.
		if err := session.Serve(ctx, stream, agent); err != nil {
			log.Print(err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// listenTime is how long a relay waits for a probe that has just been started.
const listenTime = 5 * time.Second

// relay joins a probe's socket to stream and ends when either does.
func relay(ctx context.Context, path string, stream io.ReadWriteCloser) error {
	socket, err := dial(ctx, path)
	if err != nil {
		return fmt.Errorf("relay to the probe: %w", err)
	}
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(socket, stream)
		ended <- err
	}()
	go func() {
		_, err := io.Copy(stream, socket)
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	// A probe that has ended, or that took a newer session, is an end like any
	// other.
	if _, ok := errors.AsType[*net.OpError](err); ok {
		err = nil
	}
	return errors.Join(err, socket.Close(), stream.Close())
}

// dial waits for the socket to be there.
func dial(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "unix", path)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
