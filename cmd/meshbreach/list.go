package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/explain"
)

func newList() *cobra.Command {
	var meshNames []string
	var wide bool
	cmd := &cobra.Command{
		Use:   "list [id | glob | family | FILE.yaml ...]",
		Short: "List scenarios, or what each mesh is expected to do about every attempt",
		Long: `Lists scenarios. With --mesh it prints the matrix of expectations: a row an
attempt, a column a mesh, and in the cell what the mesh does about it: blocked
by whom, at which layer and for which reason; breached; a gap, which succeeds by
design; or unsupported, and why. Every cell was seen in a run.`,
		Example: `  meshbreach list
  meshbreach list certs
  meshbreach list --mesh istio,consul,envoy,none
  meshbreach list --mesh istio --wide token      with whole reasons`,
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
				return matrix(cmd.OutOrStdout(), picked, meshNames, wide)
			}
			return overview(cmd.OutOrStdout(), picked)
		},
	}
	cmd.Flags().StringSliceVar(&meshNames, "mesh", nil, "show what these meshes are expected to do: "+strings.Join(meshes(), ", "))
	cmd.Flags().BoolVar(&wide, "wide", false, "show cells of the matrix whole")
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

// cellWidth is how much of a cell is shown when not all of it is asked for.
const cellWidth = 44

// matrix has a row an attempt and a column a mesh.
func matrix(out io.Writer, picked []scenarios.Scenario, meshNames []string, wide bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tATTEMPT\t"+strings.ToUpper(strings.Join(meshNames, "\t")))
	for _, r := range explain.Matrix(picked, meshNames...) {
		row := []string{r.Scenario, r.Attempt}
		for _, c := range r.Cells {
			text := c.String()
			if short := []rune(text); !wide && len(short) > cellWidth {
				text = strings.TrimRight(string(short[:cellWidth-1]), " ") + "…"
			}
			row = append(row, text)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
