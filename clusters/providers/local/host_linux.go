package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/meshbreach/meshbreach/clusters"
)

// seat is the place of one workload.
type seat struct {
	workload clusters.Workload
	spared   netip.Addr // the control network's address in the range
	space    *space
	probe    *process
	stream   *stream

	mu     sync.Mutex
	proxy  *process
	closed bool
}

// host is what a cluster gives to meshes and the runner.
type host struct {
	scratch string
	control *control
	seats   map[string]*seat  // fixed once Up has returned
	stages  map[string]*stage // by range; fixed once Up has returned
}

var (
	_ clusters.Host      = (*host)(nil)
	_ clusters.ProxyHost = (*host)(nil)
	_ clusters.FaultHost = (*host)(nil)
)

func place(w clusters.Workload) string { return w.Range + "/" + w.Name }

// fileName is a workload's part of a file name: staging/web is staging-web.
func fileName(w clusters.Workload) string {
	return w.Range + "." + strings.ReplaceAll(w.Name, "/", "-")
}

func (h *host) seat(w clusters.Workload) (*seat, error) {
	s, ok := h.seats[place(w)]
	if !ok {
		return nil, fmt.Errorf("no workload %s in this cluster", place(w))
	}
	return s, nil
}

// Scratch is a folder on a tmpfs that only the harness and its proxies see.
func (h *host) Scratch() string { return h.scratch }

// Stream is the standard input and output of the workload's probe. Every call
// returns the same one.
func (h *host) Stream(_ context.Context, w clusters.Workload) (io.ReadWriteCloser, error) {
	s, err := h.seat(w)
	if err != nil {
		return nil, err
	}
	return s.stream, nil
}

// Sidecar captures the workload's traffic and then starts the proxy, in this
// order: as long as no proxy listens, a captured connection is refused and
// never reaches the app. A zero Capture captures nothing. A workload has one
// proxy; when it has ended, another may be started. A proxy that cannot be
// started leaves the capture in place.
func (h *host) Sidecar(ctx context.Context, w clusters.Workload, c clusters.Sidecar) (clusters.Process, error) {
	s, err := h.seat(w)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sidecar of %s: %w", place(w), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("sidecar of %s: the cluster is gone", place(w))
	}
	if s.proxy != nil && s.proxy.Err() == nil {
		return nil, fmt.Errorf("sidecar of %s: process %d is already running", place(w), s.proxy.Pid())
	}
	if err := redirected(ctx, s, c); err != nil {
		return nil, fmt.Errorf("sidecar of %s: %w", place(w), err)
	}
	p, err := start(s.space, launch{
		what:    "sidecar of " + place(w),
		command: c.Command,
		env:     append(sidecarEnv(), c.Env...),
		dir:     c.Dir,
		log:     c.Log,
		user:    c.User,
	})
	if err != nil {
		return nil, err
	}
	s.proxy = p
	return p, nil
}

// redirected captures the workload's traffic, by our rules or by the sidecar's.
func redirected(ctx context.Context, s *seat, c clusters.Sidecar) error {
	switch {
	case len(c.Capture.Rules) > 0:
		return captureBy(ctx, s.space, c)
	case c.Capture.Inbound != 0 || c.Capture.Outbound != 0:
		return capture(s.space, c.Capture, s.spared)
	}
	return nil
}

// sidecarEnv is our environment without the marker of the inner process.
func sidecarEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, marker+"=") })
}

// Fault kills, hangs or resumes a workload's probe or proxy.
func (h *host) Fault(_ context.Context, w clusters.Workload, part clusters.Part, f clusters.Fault) error {
	s, err := h.seat(w)
	if err != nil {
		return err
	}
	p, err := s.part(part)
	if err != nil {
		return fmt.Errorf("%s the %s of %s: %w", f, part, place(w), err)
	}
	if err := p.fault(f); err != nil {
		return fmt.Errorf("%s the %s of %s: %w", f, part, place(w), err)
	}
	return nil
}

func (s *seat) part(part clusters.Part) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case part == clusters.PartProbe:
		return s.probe, nil
	case part != clusters.PartProxy:
		return nil, errors.New("no such part")
	case s.proxy == nil:
		return nil, errors.New("it has none")
	}
	return s.proxy, nil
}

// close ends everything in the seat. The links go with the namespace.
func (s *seat) close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, p := range []*process{s.proxy, s.probe} {
		if p != nil {
			errs = append(errs, p.kill(ctx))
		}
	}
	if s.stream != nil {
		errs = append(errs, s.stream.Close())
	}
	if s.space != nil {
		errs = append(errs, s.space.close())
	}
	return errors.Join(errs...)
}
