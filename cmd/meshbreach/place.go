package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

// placeFlags say which cluster to use, and which release of a mesh on it.
type placeFlags struct{ builtin.Place }

// forProviders lists the flags that only some providers use.
func forProviders() map[string][]string {
	return map[string][]string{
		"name":               {builtin.Kind},
		"kubernetes-version": {builtin.Kind},
		"node-image":         {builtin.Kind},
		"nodes":              {builtin.Kind},
		"keep":               {builtin.Kind},
		"kubeconfig":         {builtin.Existing},
		"context":            {builtin.Existing},
		"probe-image":        {builtin.Existing},
		"dry-run":            {builtin.Existing},
		"mesh-version":       {builtin.Existing, builtin.Kind},
		"charts":             {builtin.Existing, builtin.Kind},
		"envoy":              {builtin.Local},
		"program-image":      {builtin.Local},
		"redirect":           {builtin.Local},
	}
}

func (f *placeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Mesh, "mesh", builtin.Auto, "mesh to attack: auto, "+strings.Join(meshes(), ", "))
	flags.StringVar(&f.Provider, "provider", builtin.Auto, "where workloads run: auto, "+strings.Join(builtin.ProviderNames(), ", "))
	flags.StringVar(&f.Name, "name", "", "kind: name of the cluster to use; it is created if missing and stays afterwards (default: a temporary cluster)")
	flags.StringVar(&f.KubernetesVersion, "kubernetes-version", "", "kind: Kubernetes version, such as 1.36.3 (default: kind's own, or the newest image that the engine has)")
	flags.StringVar(&f.NodeImage, "node-image", "", "kind: node image (default: the image of the Kubernetes version)")
	flags.IntVar(&f.Nodes, "nodes", 1, "kind: number of nodes")
	flags.BoolVar(&f.Keep, "keep", false, "kind: keep the cluster after the run")
	flags.StringVar(&f.Kubeconfig, "kubeconfig", "", "existing: path of the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&f.Context, "context", "", "existing: kubeconfig context of the cluster to attack; required")
	flags.StringVar(&f.ProbeImage, "probe-image", "", "existing: probe image that the nodes have or can pull; see meshbreach image")
	flags.StringVar(&f.MeshVersion, "mesh-version", "", "kind, existing: version of the mesh, used as the tag of its images")
	flags.StringVar(&f.Charts, "charts", "", "kind, existing: folder or repository URL of the mesh's charts (default: its release's charts)")
	completeWith(cmd, "mesh", func() []string { return append(meshes(), builtin.Auto) })
	completeWith(cmd, "provider", providers)
}

// choose finds the provider and the mesh. With provider auto, a flag that only one
// provider uses selects that provider, but never an existing cluster. A flag that
// the chosen provider does not use is an error.
func (f *placeFlags) choose(cmd *cobra.Command) (builtin.Choice, error) {
	f.Note = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	place, decided := f.Place, ""
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		who := forProviders()[flag.Name]
		if place.Provider == builtin.Auto && len(who) == 1 && who[0] != builtin.Existing {
			place.Provider, decided = who[0], flag.Name
		}
	})
	c, err := place.Choose(cmd.Context())
	if c.Provider == nil {
		return c, err
	}
	if decided != "" {
		c.Why = fmt.Sprintf("provider %s with mesh %s, selected by --%s", c.Provider.Name(), c.Mesh.Describe().Name, decided)
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if who := forProviders()[flag.Name]; who != nil && !c.Of(who...) {
			// This error goes first: it may have caused the other.
			err = fmt.Errorf("--%s is only for provider %s; this run uses %s", flag.Name, strings.Join(who, " and "), c.Why)
		}
	})
	if err == nil && f.Nodes < 1 {
		err = fmt.Errorf("--nodes %d: must be at least 1", f.Nodes)
	}
	return c, err
}

// left says how to use and how to delete a cluster that a run kept.
func (f *placeFlags) left(cmd *cobra.Command, id string) {
	if !f.Keep {
		return
	}
	name := cmp.Or(f.Name, id)
	fmt.Fprintf(cmd.ErrOrStderr(), "cluster %s is kept. Use it again: meshbreach run --provider kind --name %[1]s. Delete it: meshbreach down %[1]s\n", name)
}
