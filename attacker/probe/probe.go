// Package probe is the program inside every workload: it serves, requests,
// attacks and sends honest load, as the harness says over its standard input
// and output. It has no control port. Its log goes to standard error.
//
// In a container it is the first process: with -serve it holds all state and
// takes one session at a time on a unix socket, and a second one, started with
// -relay, joins that socket to its own standard input and output. With -once it
// makes one request and ends, which is what a submitted pod runs it for.
package probe

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// Options are what a probe is built with.
type Options struct {
	Attacks   []attacker.Attack            // that it can make; see attacks.Catalog
	Protocols []attacker.AuthorityProtocol // of the meshes whose certificate authorities it can ask
}

// flags are what a probe is started with.
type flags struct {
	hide               paths
	serve, relay, once string
	restricted         bool
}

// paths is a flag that may be given again.
type paths []string

func (p *paths) String() string     { return strings.Join(*p, ",") }
func (p *paths) Set(s string) error { *p = append(*p, s); return nil }

func read(args []string) (flags, error) {
	var f flags
	set := flag.NewFlagSet("probe", flag.ContinueOnError)
	set.Var(&f.hide, "hide", "folder that this process must not see (repeatable; Linux)")
	set.StringVar(&f.serve, "serve", "", "unix socket to take sessions on, one at a time, instead of standard input and output")
	set.StringVar(&f.relay, "relay", "", "unix socket of a probe to join to standard input and output, and nothing else")
	set.StringVar(&f.once, attacker.FlagOnce, "", "one request to make, as JSON, and nothing else; the exit code is 0 when it was served")
	set.BoolVar(&f.restricted, restrictedFlag, false, "set by the probe itself once it has given up its rights")
	return f, set.Parse(args)
}

// Run is the whole program. It returns when the session ends, when ctx does, or
// with SIGINT or SIGTERM. args are those of the process, its name first: it
// gives up its rights by executing itself again. Call it from main, on the
// process's first goroutine, and before anything else has started.
func Run(ctx context.Context, args []string, o Options) error {
	f, err := read(args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if !f.restricted && f.relay == "" && f.once == "" {
		// restrict changes the thread it runs on.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := restrict(f.hide, f.serve); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case f.relay != "":
		return relay(ctx, f.relay, standard())
	case f.once != "":
		return once(ctx, f.once, attacker.Foothold{})
	}
	target, err := app.Start(nil, app.Options{Log: log.Default()})
	if err != nil {
		return err
	}
	agent := session.Agent{Attacks: o.Attacks, Foothold: attacker.Foothold{Protocols: o.Protocols}, App: target}
	if f.serve == "" {
		err = session.Serve(ctx, standard(), agent)
	} else {
		err = serveSocket(ctx, f.serve, agent)
	}
	return errors.Join(err, target.Close())
}

// stream is standard input and output as one.
type stream struct {
	io.Reader
	io.Writer
	close func() error
}

func (s stream) Close() error { return s.close() }

func standard() stream {
	// Only a file that the runtime polls can be closed under a reader. Where
	// that cannot be had, the process's end closes it.
	_ = syscall.SetNonblock(syscall.Stdin, true)
	_ = syscall.SetNonblock(syscall.Stdout, true)
	in := os.NewFile(uintptr(syscall.Stdin), "stdin")
	out := os.NewFile(uintptr(syscall.Stdout), "stdout")
	return stream{in, out, func() error {
		if err := errors.Join(in.Close(), out.Close()); err != nil {
			return fmt.Errorf("close session: %w", err)
		}
		return nil
	}}
}
