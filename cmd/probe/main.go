// Command probe is the program inside every workload: it serves, knocks,
// attacks and sends honest load, as the harness says over its standard input
// and output. It has no control port. Its log goes to standard error.
package main

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
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// paths is a flag that may be given again.
type paths []string

func (p *paths) String() string     { return strings.Join(*p, ",") }
func (p *paths) Set(s string) error { *p = append(*p, s); return nil }

func main() {
	// restrict changes the thread it runs on.
	runtime.LockOSThread()
	var hide paths
	flag.Var(&hide, "hide", "folder that this process must not see (repeatable; Linux)")
	restricted := flag.Bool(restrictedFlag, false, "set by the probe itself, when it has given up what it must not have")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.SetPrefix("probe: ")
	if !*restricted {
		if err := restrict(hide); err != nil {
			log.Fatal(err)
		}
	}
	runtime.UnlockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		stop()
		log.Fatal(err)
	}
}

// serve answers the harness until it is gone.
func serve(ctx context.Context) error {
	target, err := app.Start(nil, app.Options{Log: log.Default()})
	if err != nil {
		return err
	}
	err = session.Serve(ctx, standard(), session.Agent{
		Attacks:  attacks.Catalog(),
		Foothold: attacker.Foothold{},
		App:      target,
	})
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
