package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

func newDoctor() *cobra.Command {
	var get bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has and lacks, and how to get it",
		Long: `Looks for the programs that meshes need and tries whether this machine lets us
make the namespaces that the provider local lives in. The exit code is 0 when
the mesh envoy on the provider local would work, else 2.`,
		Example: `  meshbreach doctor
  meshbreach doctor --get       download the pinned programs that are missing`,
		Args: takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return examine(cmd, get) },
	}
	cmd.Flags().BoolVar(&get, "get", false, "download the pinned programs that are missing")
	return cmd
}

func examine(cmd *cobra.Command, get bool) error {
	out := cmd.OutOrStdout()
	good := true
	say := func(c builtin.Check) {
		good = good && c.OK
		row(out, c)
	}
	say(builtin.Check{What: "meshbreach", OK: true, Detail: fmt.Sprintf("%s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)})
	_, why, err := builtin.Choose(builtin.Auto, "envoy")
	if err != nil {
		return err
	}
	say(builtin.Check{What: "provider", OK: true, Detail: why})
	// The inner process prints the row when it came to life.
	code, err := builtin.Enter(cmd.Context(), builtin.Handover{}, []string{namespaces})
	if err != nil {
		say(builtin.Check{What: namespaces, Detail: err.Error()})
	}
	good = good && code == 0
	path, err := builtin.Probe("")
	say(check("probe", path, err))
	for _, c := range builtin.CheckPrograms(cmd.Context(), get) {
		say(c)
	}
	if good {
		return nil
	}
	return exitCode(2)
}

// namespaces is the hidden verb that the inner process of doctor runs.
const namespaces = "namespaces"

func newNamespaces() *cobra.Command {
	return &cobra.Command{
		Use:     namespaces,
		Short:   "Try the namespaces of the provider local, from inside",
		Example: "  meshbreach doctor",
		Hidden:  true,
		Args:    takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := check(namespaces, "user, network, mount and PID namespaces work here", builtin.Prepare())
			row(cmd.OutOrStdout(), c)
			if !c.OK {
				return exitCode(2)
			}
			return nil
		},
	}
}

func check(what, detail string, err error) builtin.Check {
	if err != nil {
		return builtin.Check{What: what, Detail: err.Error()}
	}
	return builtin.Check{What: what, OK: true, Detail: detail}
}

func row(out io.Writer, c builtin.Check) {
	state := "ok"
	if !c.OK {
		state = "MISSING"
	}
	fmt.Fprintf(out, "%-11s %-8s %s\n", c.What, state, c.Detail)
}
