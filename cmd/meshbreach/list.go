package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

func newList() *cobra.Command {
	var meshNames []string
	cmd := &cobra.Command{
		Use:   "list [id | glob | family | FILE.yaml ...]",
		Short: "List scenarios, or what each mesh is expected to do about every attempt",
		Example: `  meshbreach list
  meshbreach list certs
  meshbreach list --mesh none,envoy       the matrix of expectations`,
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, m := range meshNames {
				if _, err := builtin.Mesh(m); err != nil {
					return err
				}
			}
			picked, err := scenarios.Pick(args)
			if err != nil {
				return err
			}
			if len(meshNames) > 0 {
				return matrix(cmd.OutOrStdout(), picked, meshNames)
			}
			return overview(cmd.OutOrStdout(), picked)
		},
	}
	cmd.Flags().StringSliceVar(&meshNames, "mesh", nil, "show what these meshes are expected to do: none, envoy")
	completeWith(cmd, "mesh", meshes)
	return cmd
}

func overview(out io.Writer, picked []scenarios.Scenario) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tPILLAR\tATTEMPTS\tTITLE")
	for _, s := range picked {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", s.ID, s.Pillar, len(s.Attempts), s.Title)
	}
	return w.Flush()
}

// matrix has a row an attempt and a column a mesh.
func matrix(out io.Writer, picked []scenarios.Scenario, meshNames []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tATTEMPT\t"+strings.ToUpper(strings.Join(meshNames, "\t")))
	for _, s := range picked {
		for _, a := range s.Attempts {
			row := []string{s.ID, a.ID}
			for _, m := range meshNames {
				said := "-"
				if e, ok := a.Expect[m]; ok {
					said = e.String()
				}
				row = append(row, said)
			}
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
	}
	return w.Flush()
}
