package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	lastLines = 20                     // of a build that failed
	beat      = 30 * time.Second       // between two lines about what goes on
	request   = 200 * time.Millisecond // between two tries for the turn
)

// BuildError is a build that failed. Its last lines, at most 20, were also told
// to Options.Note.
type BuildError struct {
	Program string // family and version
	Lines   []string
	Err     error
}

// Error is one line.
func (e *BuildError) Error() string {
	last := "it said nothing"
	if len(e.Lines) > 0 {
		last = oneLine(e.Lines[len(e.Lines)-1], 200)
	}
	return fmt.Sprintf("build %s: %v: %s", e.Program, e.Err, last)
}

// Unwrap is how go ended.
func (e *BuildError) Unwrap() error { return e.Err }

// turn waits until nobody else builds on this machine, for two builds at once
// take twice the memory and are not done any sooner. The turn ends by leave, or
// by the kernel when the process dies.
func turn(ctx context.Context, parent, what string, o Options) (leave func() error, err error) {
	lock := flock.New(filepath.Join(parent, ".turn"))
	got, err := lock.TryLock()
	if err == nil && !got {
		o.note("another run builds a program: waiting for it before %s", what)
		got, err = await(ctx, lock, what, o)
	}
	if err != nil || !got {
		return nil, fmt.Errorf("wait for another build before %s: %w", what, err)
	}
	return lock.Close, nil
}

func await(ctx context.Context, lock *flock.Flock, what string, o Options) (bool, error) {
	start := time.Now()
	try, say := time.NewTicker(request), time.NewTicker(beat)
	defer try.Stop()
	defer say.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-say.C:
			o.note("another run still builds: %s waits for %s so far", what, time.Since(start).Round(time.Second))
		case <-try.C:
			if got, err := lock.TryLock(); got || err != nil {
				return got, err
			}
		}
	}
}

// A build is a module that was unfolded into dir.
type build struct {
	module
	dir, temp string
	note      func(format string, args ...any)
}

// compile builds the programs into a folder, and says how that goes.
func (b build) compile(ctx context.Context, into string) error {
	names := make([]string, len(b.programs))
	for i, p := range b.programs {
		names[i] = p.name
	}
	what := b.family + " " + b.version
	b.note("building %s (%s) from pinned Go modules: about %d min on 2 cores, only this once", what, strings.Join(names, ", "), b.minutes)
	start := time.Now()
	stop := b.beats(what, start)
	said, err := b.run(ctx, b.arguments(into, b.programs)...)
	stop()
	if err == nil {
		b.note("built %s in %s", what, time.Since(start).Round(time.Second))
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: stopped: %w", what, ctx.Err())
	}
	for _, line := range said {
		b.note("%s", line)
	}
	return &BuildError{Program: what, Lines: said, Err: err}
}

// beats says again and again that the build goes on, until stop returns.
func (b build) beats(what string, start time.Time) (stop func()) {
	every := b.every
	if every == 0 {
		every = beat
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				b.note("building %s: %s so far", what, time.Since(start).Round(time.Second))
			}
		}
	}()
	return func() { close(done); <-gone }
}

// run runs go in the module and returns the last lines that it said. The user's
// GOTOOLCHAIN, GOPROXY, GOMODCACHE and so on apply.
func (b build) run(ctx context.Context, args ...string) ([]string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, errors.New("the go command is not on PATH: install Go (https://go.dev/dl)")
	}
	args = append([]string{path}, args...)
	// A build of minutes must not be felt by who works on the machine.
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "10"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), append(b.environment(), "PWD="+b.dir, "GOTMPDIR="+b.temp)...)
	var said tail
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = 5 * time.Second
	endTogether(cmd)
	// The kernel ends the build when the thread that started it dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	return said.last(), err
}

// tail keeps the last lines that were written.
type tail struct{ lines, rest []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.rest = append(t.rest, b...)
	end := bytes.LastIndexByte(t.rest, '\n') + 1
	t.lines = append(t.lines, t.rest[:end]...)
	t.rest = append([]byte(nil), t.rest[end:]...)
	for bytes.Count(t.lines, []byte("\n")) > lastLines {
		t.lines = t.lines[bytes.IndexByte(t.lines, '\n')+1:]
	}
	return len(b), nil
}

func (t *tail) last() []string {
	all := strings.TrimSpace(string(t.lines) + string(t.rest))
	if all == "" {
		return nil
	}
	lines := strings.Split(all, "\n")
	return lines[max(0, len(lines)-lastLines):]
}
