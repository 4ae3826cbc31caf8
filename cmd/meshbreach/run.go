package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// runFlags are the flags of run.
type runFlags struct {
	where
	rate         int
	timeout      time.Duration
	reportDir    string
	formats      []string
	misconfigure []string
	failFast     bool
	dryRun       bool
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [id | glob | family | FILE.yaml ...]",
		Short: "Make a mesh, attack it while honest traffic runs, print the verdicts",
		Long: `Makes a mesh, attacks it while honest traffic runs, prints the verdicts and
writes reports. Nothing named is the whole catalogue. A name that ends in .yaml
is a file of your own; with files alone the catalogue is left out.

Everything that can be wrong with the command line is checked before anything
is made. Ctrl-C ends a run cleanly: what was judged so far is reported.`,
		Example: `  meshbreach run
  meshbreach run certs lateral/unauth-service 'token/jwt-*'
  meshbreach run --mesh none --format json --report-dir out
  meshbreach run --misconfigure accept-plaintext      what would this mistake let in?
  meshbreach run --provider kind --kubernetes-version 1.36.3 --nodes 2
  meshbreach run --provider kind --name lab     on a cluster that up made
  meshbreach run --provider existing --context staging --dry-run
  meshbreach run my-scenario.yaml`,
		ValidArgsFunction: completeScenarios,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.rate, "rate", runner.DefaultRate, "honest requests a second in each range")
	flags.DurationVar(&f.timeout, "timeout", 0, fmt.Sprintf("for one scenario (default %s, and %s where the mesh is on a cluster of nodes)", runner.DefaultTimeout, runner.PatientTimeout))
	flags.StringVar(&f.reportDir, "report-dir", "reports", `folder for reports; "" writes none`)
	flags.StringSliceVar(&f.formats, "format", []string{"json", "junit", "markdown"}, "of reports: json, junit, markdown, text")
	flags.StringSliceVar(&f.misconfigure, "misconfigure", nil, "make the whole run with a known mistake; may be repeated")
	flags.BoolVar(&f.dryRun, "dry-run", false, "existing: print what would be made, and stop")
	flags.BoolVar(&f.failFast, "fail-fast", false, "begin no further scenario after one failed")
	completeWith(cmd, "format", reports.Formats)
	completeWith(cmd, "misconfigure", misconfigurations)
	return cmd
}

// run checks everything first. The outer process of a run looks for what only
// it can find and enters the namespaces; the inner one comes here again.
func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	o, c, err := f.options(cmd, args)
	if err != nil {
		return err
	}
	if builtin.Inside() {
		return f.inner(cmd, o)
	}
	if err := writable(f.reportDir); err != nil {
		return err
	}
	if err := c.Check(cmd.Context()); err != nil {
		return err
	}
	h, err := f.handover(cmd, c)
	if err != nil {
		return err
	}
	if f.dryRun {
		fmt.Fprintln(cmd.ErrOrStderr(), c.Why)
		return c.Plan(cmd.Context(), cmd.OutOrStdout(), h.ID, min(o.Parallel, len(o.Scenarios)), h.Release())
	}
	if f.reportDir != "" {
		if err := os.MkdirAll(f.reportDir, 0o755); err != nil {
			return fmt.Errorf("make report folder: %w", err)
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), c.Why)
	if !builtin.Enters(o.Provider) {
		o.ID, o.Probe, o.Release = h.ID, h.Probe, h.Release()
		err := f.play(cmd, o, f.reportDir)
		f.left(cmd, h.ID)
		return err
	}
	code, err := builtin.Enter(cmd.Context(), h, os.Args[1:])
	if err != nil {
		return err
	}
	return ended(code)
}

// options are those that the command line alone decides; it makes nothing.
func (f *runFlags) options(cmd *cobra.Command, args []string) (o runner.Options, c builtin.Choice, err error) {
	if f.reportDir != "" {
		f.LogDir = filepath.Join(f.reportDir, "nodes")
	}
	if o, c, err = f.where.options(cmd); err != nil {
		return o, c, err
	}
	if f.rate < 1 {
		return o, c, fmt.Errorf("--rate %d: at least 1", f.rate)
	}
	if f.timeout < 0 {
		return o, c, fmt.Errorf("--timeout %s: longer than nothing", f.timeout)
	}
	for _, format := range f.formats {
		if err := reports.Render(io.Discard, format, reports.Run{}); err != nil {
			return o, c, err
		}
	}
	if err := builtin.CheckWeakenings(f.misconfigure); err != nil {
		return o, c, err
	}
	o.Rate, o.Timeout, o.Misconfigure, o.FailFast = f.rate, f.timeout, f.misconfigure, f.failFast
	if o.Scenarios, err = scenarios.Pick(args); err != nil {
		return o, c, err
	}
	if c.Of(builtin.Existing) {
		c, err = spare(cmd, c, &o, args)
	}
	return o, c, err
}

// inner is the run inside. It stands in the report folder, because that is how
// the folder stays reachable whatever is mounted for the run.
func (f *runFlags) inner(cmd *cobra.Command, o runner.Options) error {
	h, err := builtin.Received()
	if err != nil {
		return err
	}
	dir := ""
	if f.reportDir != "" {
		if err := os.Chdir(f.reportDir); err != nil {
			return fmt.Errorf("enter report folder: %w", err)
		}
		dir = "."
	}
	if err := builtin.Prepare(); err != nil {
		return err
	}
	o.ID, o.Probe, o.Release = h.ID, h.Probe, h.Release()
	return f.play(cmd, o, dir)
}

// spare leaves out what makes objects for a whole cluster that is somebody
// else's, unless it was named, which then takes more rights.
func spare(cmd *cobra.Command, c builtin.Choice, o *runner.Options, args []string) (builtin.Choice, error) {
	kept, out := scenarios.Unnamed(o.Scenarios, args)
	o.Scenarios = kept
	if len(out) > 0 {
		var ids []string
		for _, s := range out {
			ids = append(ids, s.ID)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "left out, for they make objects for the whole cluster and were not named: %s\n", strings.Join(ids, ", "))
	}
	if len(kept) == 0 {
		return c, errors.New("no scenario is left: on provider existing those that make objects for the whole cluster have to be named by their ids")
	}
	if slices.ContainsFunc(kept, scenarios.Scenario.ClusterWide) {
		c = c.WithAdmission()
		o.Provider = c.Provider
	}
	return c, nil
}
