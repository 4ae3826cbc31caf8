package main

import (
	"errors"
	"fmt"
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
	accept       []string
	failFast     bool
	dryRun       bool
}

func newRun() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [id | glob | family | FILE.yaml ...]",
		Short: "Set up a mesh, attack it while honest traffic runs, print the verdicts",
		Long: `Sets up a mesh, attacks it while honest traffic runs, prints the verdicts and writes
reports. Without arguments it runs the whole catalogue. An argument that ends in
.yaml is your own scenario file. With only files, the catalogue is not run.

The command line is checked before anything is set up. Ctrl-C ends a run cleanly and
reports what was judged so far.`,
		Example: `  meshbreach run
  meshbreach run certs lateral/unauth-service 'token/jwt-*'
  meshbreach run --mesh none --format json --report-dir out
  meshbreach run --misconfigure accept-plaintext      what would this misconfiguration let in?
  meshbreach run --provider kind --kubernetes-version 1.36.3 --nodes 2
  meshbreach run --provider kind --name lab     on a cluster from meshbreach up
  meshbreach run --provider existing --context staging --dry-run
  meshbreach run my-scenario.yaml`,
		ValidArgsFunction: completeScenarios,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.IntVar(&f.rate, "rate", runner.DefaultRate, "honest requests per second in each test environment")
	flags.DurationVar(&f.timeout, "timeout", 0, fmt.Sprintf("time limit for one scenario (default %s, or %s on a Kubernetes cluster)", runner.DefaultTimeout, runner.PatientTimeout))
	flags.StringVar(&f.reportDir, "report-dir", "reports", `folder for reports; "" writes none`)
	flags.StringSliceVar(&f.formats, "format", []string{"json", "junit", "markdown"}, "report formats, comma-separated: json, junit, markdown, text")
	flags.StringSliceVar(&f.misconfigure, "misconfigure", nil, "apply a known misconfiguration to the whole run; may be repeated (see meshbreach explain NAME)")
	flags.StringSliceVar(&f.accept, "accept", nil, "id of a known CVE that does not fail the run; may be repeated")
	flags.BoolVar(&f.dryRun, "dry-run", false, "existing: check consent and rights, print what would be created, and stop")
	flags.BoolVar(&f.failFast, "fail-fast", false, "start no further scenario after a failure")
	completeWith(cmd, "format", reports.All().Names)
	completeWith(cmd, "misconfigure", misconfigurations)
	completeWith(cmd, "accept", knownCVEs)
	return cmd
}

// run checks everything first. The outer process finds the programs and enters
// the namespaces. The inner process then runs this function again.
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

// options are what the command line alone decides. It creates nothing.
func (f *runFlags) options(cmd *cobra.Command, args []string) (o runner.Options, c builtin.Choice, err error) {
	if f.reportDir != "" {
		f.LogDir = filepath.Join(f.reportDir, "nodes")
	}
	if o, c, err = f.where.options(cmd); err != nil {
		return o, c, err
	}
	if f.rate < 1 {
		return o, c, fmt.Errorf("--rate %d: must be at least 1", f.rate)
	}
	if f.timeout < 0 {
		return o, c, fmt.Errorf("--timeout %s: must not be negative", f.timeout)
	}
	if err := reports.All().Check(f.formats); err != nil {
		return o, c, err
	}
	if err := builtin.CheckWeakenings(f.misconfigure); err != nil {
		return o, c, err
	}
	o.Rate, o.Timeout, o.Misconfigure, o.Accept, o.FailFast = f.rate, f.timeout, f.misconfigure, f.accept, f.failFast
	if o.Scenarios, err = rules().Pick(args); err != nil {
		return o, c, err
	}
	if err := scenarios.CheckAccepted(f.accept, append(knownCVEs(), scenarios.CVEs(o.Scenarios)...)); err != nil {
		return o, c, err
	}
	if c.Of(builtin.Existing) {
		c, err = spare(cmd, c, &o, args)
	}
	return o, c, err
}

// inner is the run inside the namespaces. Its working directory is the report
// folder, so that the folder stays reachable whatever the run mounts.
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

// spare leaves out scenarios that create cluster-wide objects on an existing
// cluster, unless they are named by id. Those that are named need more rights.
func spare(cmd *cobra.Command, c builtin.Choice, o *runner.Options, args []string) (builtin.Choice, error) {
	kept, out := scenarios.Unnamed(o.Scenarios, args)
	o.Scenarios = kept
	if len(out) > 0 {
		var ids []string
		for _, s := range out {
			ids = append(ids, s.ID)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "left out, because they create cluster-wide objects: %s. To run one, name it by its id.\n", strings.Join(ids, ", "))
	}
	if len(kept) == 0 {
		return c, errors.New("no scenario left to run: on provider existing, a scenario that creates cluster-wide objects must be named by its id")
	}
	if slices.ContainsFunc(kept, scenarios.Scenario.ClusterWide) {
		c = c.WithAdmission()
		o.Provider = c.Provider
	}
	return c, nil
}
