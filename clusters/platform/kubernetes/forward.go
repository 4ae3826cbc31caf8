package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// A tunnel is the kept connection to a pod, over which all its dials go.
type tunnel struct {
	open chan struct{} // holds one token: who has it may look at conn and next
	conn httpstream.Connection
	next int // request
}

// Dial connects to a port of a pod's loopback interface, by the API server.
// It returns before the far end has answered: a port that nobody listens on is
// an error of the first Read. All dials to a pod share one connection to the
// API server, which is made again when it broke.
func (h *Host) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	what := fmt.Sprintf("connect to port %d of %s/%s", port, namespace, pod)
	t := h.tunnel(namespace, pod)
	select {
	case <-t.open:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	type opened struct {
		conn net.Conn
		err  error
	}
	// The library knows no contexts: who gives up leaves the dial behind.
	got := make(chan opened)
	go func() {
		c, err := h.open(t, namespace, pod, port)
		t.open <- struct{}{}
		select {
		case got <- opened{c, err}:
		case <-ctx.Done():
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	select {
	case o := <-got:
		if o.err != nil {
			return nil, fmt.Errorf("%s: %w", what, o.err)
		}
		return o.conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

func (h *Host) tunnel(namespace, pod string) *tunnel {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := namespace + "/" + pod
	t, ok := h.tunnels[key]
	if !ok {
		t = &tunnel{open: make(chan struct{}, 1)}
		t.open <- struct{}{}
		h.tunnels[key] = t
	}
	return t
}

// open makes the two streams of a dial. The caller has the tunnel's token.
func (h *Host) open(t *tunnel, namespace, pod string, port int) (net.Conn, error) {
	if t.alive() {
		if c, err := t.dial(port); err == nil {
			return c, nil
		}
		_ = t.conn.Close() // it broke and nobody had noticed
	}
	at := h.stream(namespace, pod, "portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(h.config)
	if err != nil {
		return nil, err
	}
	web, err := portforward.NewSPDYOverWebsocketDialerForStreamingWithLogger(klog.Logger{}, at, h.config)
	if err != nil {
		return nil, err
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, at)
	conn, _, err := portforward.NewFallbackDialerForStreaming(web, older, old).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, err
	}
	t.conn = conn
	return t.dial(port)
}

func (t *tunnel) alive() bool {
	if t.conn == nil {
		return false
	}
	select {
	case <-t.conn.CloseChan():
		return false
	default:
		return true
	}
}

func (t *tunnel) dial(port int) (net.Conn, error) {
	t.next++
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(t.next))
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	complaint, err := t.conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = complaint.Close() // our half: we only listen
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := t.conn.CreateStream(headers)
	if err != nil {
		t.conn.RemoveStreams(complaint)
		return nil, err
	}
	near, far := net.Pipe()
	c := &forwarded{Conn: near, done: make(chan struct{})}
	conn := t.conn
	go c.carry(far, data, complaint, func() {
		conn.RemoveStreams(data, complaint)
		if c.err != nil && !refused(c.err) {
			_ = conn.Close() // a pod that is gone, behind a connection that lives on
		}
	})
	return c, nil
}

// refused says whether the pod was there and nobody listened on the port.
func refused(err error) bool { return strings.Contains(err.Error(), "connection refused") }

// forwarded is a connection to a pod's port. The pipe gives it deadlines.
type forwarded struct {
	net.Conn
	done chan struct{} // closed when the far end has ended
	err  error         // valid when done is closed
}

// Read says why the far end is gone, where it said so.
func (c *forwarded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		<-c.done
		if c.err != nil {
			err = c.err
		}
	}
	return n, err
}

func (c *forwarded) carry(far net.Conn, data, complaint httpstream.Stream, remove func()) {
	said := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(complaint, tailSize))
		said <- strings.TrimSpace(string(b))
	}()
	go func() {
		_, _ = io.Copy(data, far)
		_ = data.Close()
		// Whoever closed this end reads no more.
		_ = data.Reset()
	}()
	_, err := io.Copy(far, data)
	// What is unsent would keep the complaint from coming.
	_ = data.Reset()
	switch text := <-said; {
	case text != "":
		c.err = errors.New(text)
	case err != nil && !errors.Is(err, io.ErrClosedPipe):
		c.err = err
	}
	close(c.done)
	_ = far.Close()
	remove()
}
