package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// defaultPolicy is the scenario whose policy up applies if none is named: web may
// charge; web and thief may read rates.
const defaultPolicy = "lateral/unauth-service"

func newUp() *cobra.Command {
	var f where
	cmd := &cobra.Command{
		Use:   "up [SCENARIO | FILE.yaml]",
		Short: "Set up a mesh to explore, or a kind cluster for later runs",
		Long: `On providers local and existing: sets up a mesh with the policy of one scenario
(default ` + defaultPolicy + `), prints its test workloads and how to enter them,
and stays in the foreground. Ctrl-C removes everything.

On provider kind: creates a cluster called --name, loads the probe and the mesh's
images onto its nodes, and returns. The cluster stays. Each run on it installs the
mesh and removes it again. Delete the cluster with meshbreach down NAME.`,
		Example: `  meshbreach up
  meshbreach up --mesh none --parallel 2
  meshbreach up token/jwt-absent-token
  meshbreach up --provider kind --mesh istio --name lab`,
		ValidArgsFunction: completeScenarios,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.up(cmd, args) },
	}
	f.add(cmd)
	cmd.Flag("parallel").DefValue, f.parallel = "1", 1
	return cmd
}

func (f *where) up(cmd *cobra.Command, args []string) error {
	o, c, err := f.options(cmd)
	if err != nil {
		return err
	}
	if c.Of(builtin.Kind) {
		return f.prepare(cmd, c, args)
	}
	if len(args) == 0 {
		args = []string{defaultPolicy}
	}
	if o.Scenarios, err = rules().Pick(args); err != nil {
		return err
	}
	if len(o.Scenarios) != 1 {
		return fmt.Errorf("up takes one scenario, not %d; see %s --help", len(o.Scenarios), cmd.CommandPath())
	}
	if builtin.Inside() {
		return f.stand(cmd, o)
	}
	if err := c.Check(cmd.Context()); err != nil {
		return err
	}
	h, err := f.handover(cmd, c)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), c.Why)
	if !builtin.Enters(o.Provider) {
		return f.keep(cmd, o, h, 0)
	}
	code, err := builtin.Enter(cmd.Context(), h, os.Args[1:])
	if err != nil {
		return err
	}
	return ended(code)
}

func (f *where) stand(cmd *cobra.Command, o runner.Options) error {
	pid := builtin.OuterPid()
	h, err := builtin.Received()
	if err != nil {
		return err
	}
	if err := builtin.Prepare(); err != nil {
		return err
	}
	return f.keep(cmd, o, h, pid)
}

// keep holds the mesh up until Ctrl-C. The pid is this process's own as seen from
// outside, or 0 where there are no namespaces to enter.
func (f *where) keep(cmd *cobra.Command, o runner.Options, h builtin.Handover, pid int) error {
	o.ID, o.Probe, o.Release = h.ID, h.Probe, h.Release()
	err := runner.Stand(cmd.Context(), o, func(s runner.Standing) error {
		return show(cmd.OutOrStdout(), o, s, pid)
	})
	if err == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "Everything is removed.")
	}
	return err
}

// prepare creates a kind cluster that stays.
func (f *where) prepare(cmd *cobra.Command, c builtin.Choice, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("up on provider kind creates a cluster without a mesh and takes no scenario; see %s --help", cmd.CommandPath())
	}
	if f.Name == "" {
		return errors.New("up on provider kind needs --name NAME, because the cluster stays")
	}
	if err := c.Check(cmd.Context()); err != nil {
		return err
	}
	probe, err := builtin.Probe(f.probe)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), c.Why)
	kubeconfig, err := c.Prepare(cmd.Context(), probe)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `cluster %[1]s is ready

attack it, as often as you like
  meshbreach run --provider kind --name %[1]s --mesh %[2]s
explore it
  kubectl --kubeconfig %[3]s get namespaces
delete it
  meshbreach down %[1]s
`, f.Name, c.Mesh.Describe().Name, kubeconfig)
	return err
}

// show prints the test workloads and how to enter them.
func show(out io.Writer, o runner.Options, s runner.Standing, pid int) error {
	fmt.Fprintf(out, "mesh %s is up with the policy of %s\n\n", o.Mesh.Describe().Name, o.Scenarios[0].ID)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENVIRONMENT\tWORKLOAD\tADDRESS\tMESHED\tIDENTITY\tNETWORK")
	for _, r := range s.Ranges {
		for _, m := range r.Workloads {
			id, network := "-", "-"
			if m.Meshed {
				id = m.ID()
			}
			if fd, ok := s.Network(m); ok && pid != 0 {
				network = fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%t\t%s\t%s\n", m.Range, m.Name, m.Address, m.Meshed, id, network)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if pid != 0 {
		fmt.Fprintf(out, "\nTo enter a workload's network, for example that of web, run in another terminal:\n"+
			"  nsenter --target %d --user --preserve-credentials --net=NETWORK curl -X POST http://BANK:8080/v1/charge\n", pid)
	}
	_, err := fmt.Fprintln(out, "\nPress Ctrl-C to remove everything.")
	return err
}
