// Command airgap makes the node image and the mesh images of provider kind from
// Go modules, Debian packages and one Python wheel, without an image registry.
// hack/offline runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gofrs/flock"

	"github.com/meshbreach/meshbreach/hack/airgap/capabilities"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, func(line string) { fmt.Fprintln(os.Stderr, "offline:", line) })
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

type options struct {
	check, install, startEngine, stopEngine bool

	mirror string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("hack/offline", flag.ContinueOnError)
	flags.BoolVar(&o.check, "check", false, "only say what is missing")
	flags.BoolVar(&o.install, "install", false, "install Debian packages that are missing")
	flags.BoolVar(&o.startEngine, "start-engine", false, "start a container engine of our own when none answers")
	flags.BoolVar(&o.stopEngine, "stop-engine", false, "stop that engine, and do nothing else")
	flags.StringVar(&o.mirror, "mirror", defaultMirror, "take Debian packages from `URL`")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("hack/offline takes no argument, but got %q", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer, note func(string)) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("node images are made on Linux, not on %s: run hack/offline there and docker save what it made", runtime.GOOS)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	root := filepath.Join(cache, "meshbreach")
	own := ownEngine{run: "/run/meshbreach-engine", data: filepath.Join(root, "engine")}
	if o.stopEngine {
		was, err := own.stop(ctx)
		if err == nil && !was {
			note("the engine of our own does not run")
		}
		return err
	}
	m, err := newMaker(ctx, o.mirror, root, note)
	if err != nil {
		return err
	}
	if o.check { // it changes nothing, so it need not wait for who does
		return m.run(ctx, o, own, out)
	}
	leave, err := m.alone(ctx)
	if err != nil {
		return err
	}
	return errors.Join(m.run(ctx, o, own, out), leave())
}

func newMaker(ctx context.Context, mirror, root string, note func(string)) (*maker, error) {
	kind, err := kindModule(ctx)
	if err != nil {
		return nil, err
	}
	m := &maker{recipe: recipe{mirror: mirror, kind: kind}, root: root, note: note}
	if m.sums, err = m.recipe.sums(); err != nil {
		return nil, err
	}
	if m.lacks, err = capabilities.Lacking(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.dir(), 0o755); err != nil {
		return nil, fmt.Errorf("make the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	return m, nil
}

// alone waits until no other call works in the same cache, and takes away what a
// killed one left half made.
func (m *maker) alone(ctx context.Context) (leave func() error, err error) {
	lock := flock.New(filepath.Join(m.root, ".offline"))
	got, err := lock.TryLock()
	if err == nil && !got {
		m.note("another hack/offline works: waiting for it")
		got, err = lock.TryLockContext(ctx, ask)
	}
	if err != nil || !got {
		return nil, fmt.Errorf("wait for another hack/offline: %w", err)
	}
	drafts, err := filepath.Glob(filepath.Join(m.dir(), ".draft-*"))
	for _, d := range drafts {
		err = errors.Join(err, os.RemoveAll(d))
	}
	return lock.Close, err
}

// run finds an engine, does what is left to do, and says what comes next.
func (m *maker) run(ctx context.Context, o options, own ownEngine, out io.Writer) error {
	start, err := m.choose(ctx, o, own)
	if err != nil {
		return err
	}
	if !start {
		if lacking, err := m.engine.lacks(ctx, m.sums.all); err == nil && len(lacking) == 0 {
			m.done(out, "nothing to do: the engine has every image")
			return nil
		}
	}
	if err := m.prepare(ctx, o, start, out); err != nil || o.check {
		return err
	}
	steps := m.steps()
	if start {
		steps = append([]step{{"engine", func(ctx context.Context) (string, error) { return own.host(), own.start(ctx, m.lacks) }}}, steps...)
	}
	if err := walk(ctx, steps, out, m.note); err != nil {
		return err
	}
	m.done(out, "the images are in the engine")
	return nil
}

// choose takes the engine that the docker command reaches, or else our own, and
// says whether that one must be started.
func (m *maker) choose(ctx context.Context, o options, own ownEngine) (start bool, err error) {
	if _, err := m.engine.version(ctx); err == nil {
		return false, nil
	}
	pid, err := own.running()
	if err != nil {
		return false, err
	}
	if pid != 0 || o.startEngine {
		m.engine.host = own.host()
	}
	return pid == 0 && o.startEngine, nil
}

// prepare says what is missing, or gets it.
func (m *maker) prepare(ctx context.Context, o options, start bool, out io.Writer) error {
	missing := check(ctx, m.needs(start))
	if o.install && !o.check && len(missing) > 0 {
		if err := install(ctx, missing, m.note); err != nil {
			return err
		}
		missing = check(ctx, m.needs(start))
	}
	for _, l := range missing {
		fmt.Fprintln(out, "missing:", l)
	}
	if len(missing) > 0 {
		return fmt.Errorf("not everything is here that is needed; --install gets what are packages")
	}
	if o.check {
		fmt.Fprintln(out, "nothing is missing")
	}
	return nil
}

func (m *maker) done(out io.Writer, what string) {
	fmt.Fprintf(out, "%s: %s, %s, %s\n", what, nodeImage, pilotImage, proxyImage)
	fmt.Fprintf(out, "next: %s\n", next(m.engine.host))
}
