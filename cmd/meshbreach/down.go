package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newDown() *cobra.Command {
	return &cobra.Command{
		Use:   "down [NAME]",
		Short: "Remove what up or a run left behind",
		Long: `Removes what up or a run left behind. On the provider local that is nothing:
processes, links, mounts and scratch files live in kernel namespaces of the
harness, and the kernel removes them when it ends, whatever it ends of.`,
		Example: "  meshbreach down",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("down takes one name at most; see %s --help", cmd.CommandPath())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "Nothing to remove: on the provider local the kernel removes everything when the harness ends, even when it is killed.")
			return err
		},
	}
}
