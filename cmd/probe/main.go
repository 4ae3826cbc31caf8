// Command probe is the program inside every workload: it serves, requests,
// attacks and sends honest load, as the harness says over its standard input
// and output. It has no control port. Its log goes to standard error.
//
// In a container it is the first process: with -serve it holds all state and
// takes one session at a time on a unix socket, and a second one, started with
// -relay, joins that socket to its own standard input and output. With -once it
// makes one request and ends, as whoever puts it into a pod wants it to.
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
	consul "github.com/meshbreach/meshbreach/clusters/meshes/consul/wire"
	istio "github.com/meshbreach/meshbreach/clusters/meshes/istio/wire"
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
	socket := flag.String("serve", "", "unix socket to take sessions on, one at a time, instead of standard input and output")
	relayed := flag.String("relay", "", "unix socket of a probe to join to standard input and output, and nothing else")
	request := flag.String(attacker.FlagOnce, "", "one request to make, as JSON, and nothing else; the exit code is 0 when it was served")
	restricted := flag.Bool(restrictedFlag, false, "set by the probe itself, when it has given up what it must not have")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.SetPrefix("probe: ")
	if !*restricted && *relayed == "" && *request == "" {
		if err := restrict(hide, *socket); err != nil {
			log.Fatal(err)
		}
	}
	runtime.UnlockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *socket, *relayed, *request); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, socket, relayed, request string) error {
	switch {
	case relayed != "":
		return relay(ctx, relayed, standard())
	case request != "":
		return once(ctx, request, attacker.Foothold{})
	}
	target, err := app.Start(nil, app.Options{Log: log.Default()})
	if err != nil {
		return err
	}
	agent := session.Agent{
		Attacks:  attacks.Catalog(),
		Foothold: attacker.Foothold{Protocols: []attacker.AuthorityProtocol{consul.Protocol{}, istio.Protocol{}}},
		App:      target,
	}
	if socket == "" {
		err = session.Serve(ctx, standard(), agent)
	} else {
		err = serveSocket(ctx, socket, agent)
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
