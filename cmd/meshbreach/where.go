package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

// where are the flags that say what is made, and out of what.
type where struct {
	mesh, provider string
	parallel       int
	probe          string
	programFlags
}

func (f *where) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.mesh, "mesh", "envoy", "mesh to make: none, envoy")
	flags.StringVar(&f.provider, "provider", builtin.Auto, "where to make it: auto, local")
	flags.IntVar(&f.parallel, "parallel", scenarios.DefaultParallel, "isolated ranges, each with the whole cast")
	flags.StringVar(&f.probe, "probe", "", "path of the probe (default: beside meshbreach, or on PATH)")
	f.programFlags.add(cmd)
	completeWith(cmd, "mesh", meshes)
	completeWith(cmd, "provider", providers)
}

// options are the mesh and the provider, and a sentence about the choice.
func (f *where) options() (o scenarios.Options, why string, err error) {
	if o.Mesh, err = builtin.Mesh(f.mesh); err != nil {
		return o, "", err
	}
	if o.Provider, why, err = builtin.Choose(f.provider, f.mesh); err != nil {
		return o, "", err
	}
	if f.parallel < 1 {
		return o, "", fmt.Errorf("--parallel %d: at least 1", f.parallel)
	}
	if _, err = f.search(); err != nil {
		return o, "", err
	}
	o.Tool, o.Parallel = version(), f.parallel
	return o, why, nil
}

// handover finds the programs while there is a network, and names the run.
func (f *where) handover(cmd *cobra.Command) (builtin.Handover, error) {
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
	r, err := search.Release(cmd.Context(), f.mesh)
	if err != nil {
		return h, err
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return h, fmt.Errorf("name the run: %w", err)
	}
	h.ID, h.Version, h.Proxy, h.Programs = hex.EncodeToString(id), r.Version, r.Proxy, r.Programs
	return h, nil
}
