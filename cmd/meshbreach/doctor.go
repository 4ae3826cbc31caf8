package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

func newDoctor() *cobra.Command {
	var get bool
	var mesh string
	var f programFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine has and lacks, and how to get it",
		Long: `Looks for the programs that meshes need and tries whether this machine lets us
make the namespaces that the provider local lives in. The exit code is 0 when
the mesh named by --mesh would work on the provider local, else 2. Programs come
from the first place that has them; the places are listed in order.`,
		Example: `  meshbreach doctor
  meshbreach doctor --get                download the pinned Envoy if it is missing
  meshbreach doctor --get --mesh istio   build what Istio needs; minutes, the first time
  meshbreach doctor --get --mesh istio --registry mirror.example/hub
  meshbreach doctor --program envoy=/opt/envoy --program-image consul=mirror.example/consul:1.22.3`,
		Args: takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.examine(cmd, mesh, get) },
	}
	cmd.Flags().BoolVar(&get, "get", false, "get the pinned programs that the mesh needs and that are missing")
	cmd.Flags().StringVar(&mesh, "mesh", "envoy", "mesh that has to work")
	completeWith(cmd, "mesh", meshes)
	f.add(cmd)
	return cmd
}

func (f *programFlags) examine(cmd *cobra.Command, mesh string, get bool) error {
	if _, err := builtin.Mesh(mesh); err != nil {
		return err
	}
	search, err := f.search()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	good := true
	say := func(c builtin.Check, needed bool) {
		good = good && (c.Err == nil || !needed)
		row(out, c)
	}
	say(builtin.Check{What: "meshbreach", Detail: fmt.Sprintf("%s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)}, true)
	c, err := builtin.Place{Provider: builtin.Auto, Mesh: mesh}.Choose(cmd.Context())
	say(builtin.Check{What: "provider", Detail: c.Why, Err: err}, true)
	say(builtin.CheckKind(cmd.Context()), false)
	// The inner process prints the row when it came to life.
	code, err := builtin.Enter(cmd.Context(), builtin.Handover{}, []string{namespaces})
	if err != nil {
		say(builtin.Check{What: namespaces, Err: err}, true)
	}
	good = good && code == 0
	path, err := builtin.Probe("")
	say(builtin.Check{What: "probe", Detail: path, Err: err}, true)
	if get {
		search.Get, search.Note = true, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
		// What cannot be had is said below, with every place that was looked at.
		_, _ = search.Release(cmd.Context(), mesh)
	}
	for _, c := range search.Check(cmd.Context()) {
		say(c, slices.Contains(c.Meshes, mesh))
	}
	fmt.Fprintln(out, "\nPrograms come from the first of these that has them:")
	for i, place := range builtin.SearchOrder() {
		fmt.Fprintf(out, "%3d. %s\n", i+1, place)
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
			err := builtin.Prepare()
			row(cmd.OutOrStdout(), builtin.Check{What: namespaces, Detail: "user, network, mount and PID namespaces work here", Err: err})
			if err != nil {
				return exitCode(2)
			}
			return nil
		},
	}
}

func row(out io.Writer, c builtin.Check) {
	if c.Err != nil {
		fmt.Fprintf(out, "%-15s MISSING  %s\n", c.What, c.Err)
		return
	}
	fmt.Fprintf(out, "%-15s ok       %s\n", c.What, c.Detail)
}
