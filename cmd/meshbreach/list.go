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
		Short: "List scenarios, or what each mesh is expected to do",
		Long: `Lists scenarios. With --mesh, prints what each mesh is expected to do: a row for
each attempt and a column for each mesh. A cell says

  blocked      by whom, at which layer, and why
  breached     the attack gets through
  gap          a known limitation: the attack succeeds by design
  known-cve    the attack succeeds by a published vulnerability
  unsupported  this mesh cannot show it, and why

A test compares every cell with the last recorded run.`,
		Example: `  meshbreach list
  meshbreach list certs
  meshbreach list --mesh istio,consul,envoy,none
  meshbreach list --mesh istio --wide token      without cutting reasons short`,
		ValidArgsFunction: completeScenarios,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, m := range meshNames {
				if _, err := builtin.Mesh(m); err != nil {
					return err
				}
			}
			picked, err := rules().Pick(args)
			if err != nil {
				return err
			}
			if len(meshNames) > 0 {
				return matrix(cmd.OutOrStdout(), picked, meshNames, wide)
			}
			return overview(cmd.OutOrStdout(), picked)
		},
	}
	cmd.Flags().StringSliceVar(&meshNames, "mesh", nil, "show what these meshes are expected to do, comma-separated: "+strings.Join(meshes(), ", "))
	cmd.Flags().BoolVar(&wide, "wide", false, "do not cut cells short")
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

// cellWidth is the length at which a cell is cut without --wide.
const cellWidth = 44

// matrix prints a row for each attempt and a column for each mesh.
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
