package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

func newDown() *cobra.Command {
	var p builtin.Place
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Remove what up or a run left behind",
		Long: `Removes what up or a run left behind, and prints each thing it removes.

  down                         kind clusters of runs that ended, and what runs left
                               on kind clusters that stay
  down NAME                    the kind cluster or the run with that name
  down --context CONTEXT       what runs left on that cluster
  down --context CONTEXT NAME  that run on that cluster

Active runs, including other people's, are kept unless named. Detecting a dead one
takes 15 s. On a cluster given by --context, only objects with meshbreach's label are
removed.

Provider local leaves nothing behind. The kernel removes its processes, links, mounts
and files when meshbreach ends, even after a crash.`,
		Example: `  meshbreach down
  meshbreach down lab
  meshbreach down --context staging
  meshbreach down --context staging 3f2a91c0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("down takes at most one name; see %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return remove(cmd, p, append(args, "")[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&p.Kubeconfig, "kubeconfig", "", "path of the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&p.Context, "context", "", "kubeconfig context of an existing cluster")
	return cmd
}

func remove(cmd *cobra.Command, p builtin.Place, name string) error {
	nothing := true
	p.Note = func(text string) {
		nothing = false
		fmt.Fprintln(cmd.OutOrStdout(), text)
	}
	if err := p.Down(cmd.Context(), name); err != nil {
		return err
	}
	if !nothing {
		return nil
	}
	text := "Nothing to remove"
	if name != "" {
		text += " for " + name
	}
	if p.Context != "" {
		text += " in context " + p.Context
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text+". Provider local leaves nothing behind.")
	return err
}
