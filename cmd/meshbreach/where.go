package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// where holds the flags that say what to set up, and from which programs.
type where struct {
	upTimeout time.Duration
	parallel  int
	probe     string
	redirect  string
	workers   int
	placeFlags
	programFlags
}

func (f *where) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.placeFlags.add(cmd)
	flags.IntVar(&f.parallel, "parallel", runner.DefaultParallel, "number of isolated test environments to use at once")
	flags.StringVar(&f.probe, "probe", "", "path of the probe (default: next to meshbreach, or on PATH)")
	flags.StringVar(&f.redirect, "redirect", builtin.RedirectHarness, "whose rules redirect traffic to the proxies: harness, or mesh (its own rules; needs root)")
	completeWith(cmd, "redirect", func() []string { return []string{builtin.RedirectHarness, builtin.RedirectMesh} })
	flags.IntVar(&f.workers, "proxy-workers", builtin.ProxyWorkers, "worker threads of each proxy")
	flags.DurationVar(&f.upTimeout, "up-timeout", 0, fmt.Sprintf("for the mesh to come up once its programs are there (default %s on local, else %s)", runner.DefaultUpTimeout, runner.PatientUpTimeout))
	f.programFlags.add(cmd)
}

// options are what the flags decide: the options of a run, and the choice of place.
func (f *where) options(cmd *cobra.Command) (o runner.Options, c builtin.Choice, err error) {
	f.Registry = f.from()
	if c, err = f.choose(cmd); err != nil {
		return o, c, err
	}
	if f.parallel < 1 {
		return o, c, fmt.Errorf("--parallel %d: must be at least 1", f.parallel)
	}
	if f.upTimeout < 0 {
		return o, c, fmt.Errorf("--up-timeout %s: longer than nothing", f.upTimeout)
	}
	o.UpTimeout = f.upTimeout
	if o.UpTimeout == 0 && c.Of(builtin.Local) {
		o.UpTimeout = runner.DefaultUpTimeout
	}
	if _, err = f.search(); err != nil {
		return o, c, err
	}
	o.Tool, o.Parallel = version(), f.parallel
	o.Attacks, o.Detectors = scenarios.Attacks(), scenarios.Detectors()
	o.Provider = c.Provider
	if o.Mesh, err = builtin.Redirected(c.Mesh, f.redirect); err != nil {
		return o, c, fmt.Errorf("--redirect %w", err)
	}
	if o.Mesh, err = builtin.Threaded(o.Mesh, f.workers); err != nil {
		return o, c, fmt.Errorf("--proxy-workers %w", err)
	}
	return o, c, nil
}

// handover finds the programs while the network is reachable, and names the run.
func (f *where) handover(cmd *cobra.Command, c builtin.Choice) (builtin.Handover, error) {
	var h builtin.Handover
	var err error
	if h.Probe, err = builtin.Probe(f.probe); err != nil {
		return h, err
	}
	search, err := f.search()
	if err != nil {
		return h, err
	}
	search.Get, search.Note = true, func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	r, err := c.Release(cmd.Context(), search)
	if err != nil {
		return h, err
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return h, fmt.Errorf("name the run: %w", err)
	}
	h.ID = hex.EncodeToString(id)
	h.Take(r)
	if f.redirect == builtin.RedirectMesh {
		h.Proxy += ", traffic redirected by the mesh's own rules"
	}
	if h.Proxy != "" {
		h.Proxy += fmt.Sprintf(", workers: %d", f.workers)
	}
	return h, nil
}
