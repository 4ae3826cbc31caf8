package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// where are the flags that say what is made, and out of what.
type where struct {
	parallel int
	probe    string
	redirect string
	workers  int
	placeFlags
	programFlags
}

func (f *where) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.placeFlags.add(cmd)
	flags.IntVar(&f.parallel, "parallel", runner.DefaultParallel, "isolated ranges, each with the whole cast")
	flags.StringVar(&f.probe, "probe", "", "path of the probe (default: beside meshbreach, or on PATH)")
	flags.StringVar(&f.redirect, "redirect", builtin.RedirectHarness, "whose rules redirect traffic to proxies: harness, mesh (its own, which takes root)")
	completeWith(cmd, "redirect", func() []string { return []string{builtin.RedirectHarness, builtin.RedirectMesh} })
	flags.IntVar(&f.workers, "proxy-workers", builtin.ProxyWorkers, "worker threads of each proxy")
	f.programFlags.add(cmd)
}

// options are those that the flags decide, and what they choose.
func (f *where) options(cmd *cobra.Command) (o runner.Options, c builtin.Choice, err error) {
	if c, err = f.choose(cmd); err != nil {
		return o, c, err
	}
	if f.parallel < 1 {
		return o, c, fmt.Errorf("--parallel %d: at least 1", f.parallel)
	}
	if _, err = f.search(); err != nil {
		return o, c, err
	}
	o.Tool, o.Parallel = version(), f.parallel
	o.Provider = c.Provider
	if o.Mesh, err = builtin.Redirected(c.Mesh, f.redirect); err != nil {
		return o, c, fmt.Errorf("--redirect %w", err)
	}
	if o.Mesh, err = builtin.Threaded(o.Mesh, f.workers); err != nil {
		return o, c, fmt.Errorf("--proxy-workers %w", err)
	}
	return o, c, nil
}

// handover finds the programs while there is a network, and names the run.
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
		h.Proxy += ", to which the mesh's own rules redirect"
	}
	if h.Proxy != "" {
		h.Proxy += fmt.Sprintf(", workers: %d", f.workers)
	}
	return h, nil
}
