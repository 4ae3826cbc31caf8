package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newLint() *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE...",
		Short: "Check scenario files",
		Long: `Checks scenario files as run would: unknown fields and names, wrong parameters,
attempts that cannot prove anything. Each problem is printed as
file:line:column: text, and the exit code is 2.`,
		Example: `  meshbreach lint my-scenario.yaml
  meshbreach lint scenarios/catalog/*/*.yaml`,
		Args:              takes(-1, "at least one file"),
		ValidArgsFunction: completeFiles("yaml"),
		RunE: func(cmd *cobra.Command, args []string) error {
			code := 0
			for _, file := range args {
				s, err := rules().ReadFile(file)
				if err != nil {
					code = 2
					fmt.Fprintln(cmd.OutOrStdout(), err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok, %s with %d attempts\n", file, s.ID, len(s.Attempts))
			}
			return ended(code)
		},
	}
}
