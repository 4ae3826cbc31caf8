package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

// defaultPolicy is the scenario whose policy up applies: web may charge, web
// and thief may read rates.
const defaultPolicy = "lateral/unauth-service"

func newUp() *cobra.Command {
	var f where
	cmd := &cobra.Command{
		Use:   "up [SCENARIO | FILE.yaml]",
		Short: "Make a mesh and keep it until Ctrl-C, to look around in",
		Long: `Makes a mesh with the policy of a scenario (` + defaultPolicy + ` when none is
named), prints who is where and how to enter, and takes everything back at
Ctrl-C. On the provider local it stays in the foreground: what it makes cannot
outlive it.`,
		Example: `  meshbreach up
  meshbreach up --mesh none --parallel 2
  meshbreach up token/jwt-absent-token`,
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
	if len(args) == 0 {
		args = []string{defaultPolicy}
	}
	if o.Scenarios, err = scenarios.Pick(args); err != nil {
		return err
	}
	if len(o.Scenarios) != 1 {
		return fmt.Errorf("up takes the policy of one scenario, not of %d; see %s --help", len(o.Scenarios), cmd.CommandPath())
	}
	if builtin.Inside() {
		return f.stand(cmd, o)
	}
	h, err := f.handover(cmd, c)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), c.Why)
	code, err := builtin.Enter(cmd.Context(), h, os.Args[1:])
	if err != nil {
		return err
	}
	return ended(code)
}

func (f *where) stand(cmd *cobra.Command, o scenarios.Options) error {
	pid := builtin.OuterPid()
	h, err := builtin.Received()
	if err != nil {
		return err
	}
	if err := builtin.Prepare(); err != nil {
		return err
	}
	o.ID, o.Probe, o.Release = h.ID, h.Probe, h.Release()
	err = scenarios.Stand(cmd.Context(), o, func(s scenarios.Standing) error {
		return show(cmd.OutOrStdout(), o, s, pid)
	})
	if err == nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "All taken back.")
	}
	return err
}

// show prints who is where, and how to enter.
func show(out io.Writer, o scenarios.Options, s scenarios.Standing, pid int) error {
	fmt.Fprintf(out, "mesh %s is up with the policy of %s\n\n", o.Mesh.Name(), o.Scenarios[0].ID)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RANGE\tWORKLOAD\tADDRESS\tMESHED\tIDENTITY\tNETWORK")
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
		fmt.Fprintf(out, "\nEnter a workload's network from another terminal, for example that of web:\n"+
			"  nsenter --target %d --user --preserve-credentials --net=NETWORK curl -X POST http://BANK:8080/v1/charge\n", pid)
	}
	_, err := fmt.Fprintln(out, "\nCtrl-C takes everything back.")
	return err
}
