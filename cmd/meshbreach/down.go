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
		Long: `Removes what up or a run left behind, and says each thing that it removes.

Nothing named is everything that a run left: clusters of kind that runs made for
themselves, and remains of runs in clusters that were kept. NAME is a cluster of
kind that up or --keep made, or a run. With --context it is a run on that
cluster, which somebody else made; nothing without our label is touched there.
Runs that live, of others too, stay unless they are named; to see that one is
dead takes 15 seconds.

On the provider local nothing is ever left: processes, links, mounts and scratch
files live in kernel namespaces of the harness, and the kernel removes them when
it ends, whatever it ends of.`,
		Example: `  meshbreach down
  meshbreach down lab
  meshbreach down --context staging
  meshbreach down --context staging 3f2a91c0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("down takes one name at most; see %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return remove(cmd, p, append(args, "")[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&p.Kubeconfig, "kubeconfig", "", "path of a kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&p.Context, "context", "", "the kubeconfig's context of a cluster that somebody else made")
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
		text += " of " + name
	}
	if p.Context != "" {
		text += " in context " + p.Context
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text+"; what provider local makes, the kernel removes when the harness ends, even when it is killed.")
	return err
}
