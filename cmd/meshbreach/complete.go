package main

import (
	"path"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/explain"
)

// completeWith completes a flag whose value is one of names, or a list of them.
func completeWith(cmd *cobra.Command, flag string, names func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return names(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag does not exist: a bug in this program
	}
}

// completeScenarios offers ids and families. Files are completed as well.
func completeScenarios(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := scenarios.Catalog()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, s := range all {
		names = append(names, s.ID, path.Dir(s.ID))
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveDefault
}

func completeExplainable(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	names, err := explain.Explainable()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeFiles offers files with the given extension.
func completeFiles(ending string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{ending}, cobra.ShellCompDirectiveFilterFileExt
	}
}

func meshes() []string    { return builtin.MeshNames() }
func providers() []string { return append(builtin.ProviderNames(), builtin.Auto) }

func misconfigurations() []string {
	var names []string
	for _, w := range builtin.Misconfigurations() {
		names = append(names, w.Name)
	}
	return names
}
