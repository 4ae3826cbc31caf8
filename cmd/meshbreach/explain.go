package main

import (
	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/scenarios/explain"
)

func newExplain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID | ATTACK | MISCONFIGURATION | FILE.yaml",
		Short: "Explain a scenario, an attack or a misconfiguration",
		Long: `Explains a scenario: why it matters, the test workloads and their roles, the
policy, every attempt with its benign twin and what each mesh is expected to do,
the misconfigurations under which the attempts must win, mappings and sources.
Attacks and misconfigurations are explained too.`,
		Example: `  meshbreach explain certs/expired-leaf
  meshbreach explain present-leaf
  meshbreach explain accept-plaintext`,
		Args:              takes(1, "one name"),
		ValidArgsFunction: completeExplainable,
		RunE: func(cmd *cobra.Command, args []string) error {
			return explain.Explain(cmd.OutOrStdout(), args[0])
		},
	}
}
