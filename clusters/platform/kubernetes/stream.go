package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/meshbreach/meshbreach/clusters"
)

// relay is the session with a workload's probe: a program beside it that joins
// its standard input and output to the probe's socket.
type relay struct {
	in     *io.PipeWriter
	out    *io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Stream is the session with a workload's probe, kept open by a relay. When it
// breaks, reads and writes fail; a further call opens another one in its place.
// It waits for nothing: what is in the way is said by the first read.
func (h *Host) Stream(ctx context.Context, w clusters.Workload) (io.ReadWriteCloser, error) {
	executor, err := h.executor(w.Namespace, Pod(w), &corev1.PodExecOptions{
		Container: containerProbe, Command: []string{imageProgram, "-relay", socket}, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return nil, fmt.Errorf("relay to %s: %w", place(w), err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("relay to %s: %w", place(w), err)
	}
	ctx, cancel := context.WithCancel(quiet(context.WithoutCancel(ctx))) // it lives as long as the run
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	r := &relay{in: in, out: out, cancel: cancel, done: make(chan struct{})}
	h.mu.Lock()
	before := h.relays[place(w)]
	h.relays[place(w)] = r
	h.mu.Unlock()
	if before != nil {
		_ = before.Close()
	}
	go func() {
		defer close(r.done)
		complaint := &tail{}
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: complaint})
		if err == nil {
			err = io.EOF
		}
		err = fmt.Errorf("relay to %s: %w", place(w), complaint.with(err))
		_ = stdin.CloseWithError(err)
		_ = stdout.CloseWithError(err)
		cancel()
	}()
	return r, nil
}

func (r *relay) Read(b []byte) (int, error)  { return r.out.Read(b) }
func (r *relay) Write(b []byte) (int, error) { return r.in.Write(b) }

// farewell is how long a relay may take to see the end of its input.
const farewell = time.Second

// Close ends the relay by the end of its input; the probe ends the session by
// itself.
func (r *relay) Close() error {
	err := errors.Join(r.in.Close(), r.out.Close())
	late := time.AfterFunc(farewell, r.cancel)
	go func() {
		<-r.done
		late.Stop()
	}()
	return err
}

// hangUp ends all streams and tunnels.
func (h *Host) hangUp() error {
	h.mu.Lock()
	relays, tunnels := h.relays, h.tunnels
	h.relays, h.tunnels = map[string]*relay{}, map[string]*tunnel{}
	h.mu.Unlock()
	var errs []error
	for _, r := range relays {
		errs = append(errs, r.Close())
	}
	for _, t := range tunnels {
		select {
		case <-t.open:
			if t.conn != nil {
				errs = append(errs, t.conn.Close())
			}
		default: // a dial that nobody waits for any more; it ends with the cluster
		}
	}
	return errors.Join(errs...)
}
