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
		Short: "Check this machine, and say how to get what is missing",
		Long: `Looks for the programs that the meshes need, and checks that this machine allows
the namespaces that provider local needs. Exits with 0 if the mesh given by --mesh
would work on provider local, and with 2 otherwise.

Lists the places where programs are searched, in order. The first match is used.`,
		Example: `  meshbreach doctor
  meshbreach doctor --get                download the pinned Envoy if it is missing
  meshbreach doctor --get --mesh istio   build what Istio needs; the first time takes minutes
  meshbreach doctor --get --mesh istio --registry mirror.example/hub
  meshbreach doctor --program envoy=/opt/envoy --program-image consul=mirror.example/consul:1.22.3`,
		Args: takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.examine(cmd, mesh, get) },
	}
	cmd.Flags().BoolVar(&get, "get", false, "get the missing programs that the mesh needs, in their pinned versions")
	cmd.Flags().StringVar(&mesh, "mesh", builtin.UsualMesh(), "mesh to check")
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
	// The inner process prints this row once it runs.
	code, err := builtin.Enter(cmd.Context(), builtin.Handover{}, []string{namespaces})
	if err != nil {
		say(builtin.Check{What: namespaces, Err: err}, true)
	}
	good = good && code == 0
	path, err := builtin.Probe("")
	say(builtin.Check{What: "probe", Detail: path, Err: err}, true)
	if get {
		search.Get, search.Note = true, func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
		// A program that cannot be fetched is reported below, with every place searched.
		_, _ = search.Release(cmd.Context(), mesh)
	}
	for _, c := range search.Check(cmd.Context()) {
		say(c, slices.Contains(c.Meshes, mesh))
	}
	fmt.Fprintln(out, "\nPrograms are searched in this order. The first match is used.")
	for i, place := range builtin.SearchOrder() {
		fmt.Fprintf(out, "%3d. %s\n", i+1, place)
	}
	if good {
		return nil
	}
	return exitCode(2)
}

// namespaces is the hidden verb that doctor's inner process runs.
const namespaces = "namespaces"

func newNamespaces() *cobra.Command {
	return &cobra.Command{
		Use:     namespaces,
		Short:   "Check the namespaces of provider local, from inside",
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
		fmt.Fprintf(out, "%-23s MISSING  %s\n", c.What, c.Err)
		return
	}
	fmt.Fprintf(out, "%-23s ok       %s\n", c.What, c.Detail)
}
