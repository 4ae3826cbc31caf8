package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

// placeFlags say which cluster, and which release of a mesh on it.
type placeFlags struct{ builtin.Place }

// forProviders are the flags that not every provider has a use for.
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
		"hub":                {builtin.Existing, builtin.Kind},
		"charts":             {builtin.Existing, builtin.Kind},
		"envoy":              {builtin.Local},
		"program-image":      {builtin.Local},
		"registry":           {builtin.Local},
		"redirect":           {builtin.Local},
	}
}

func (f *placeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Mesh, "mesh", builtin.Auto, "mesh to make: auto, "+strings.Join(meshes(), ", "))
	flags.StringVar(&f.Provider, "provider", builtin.Auto, "where to make it: auto, "+strings.Join(builtin.ProviderNames(), ", "))
	flags.StringVar(&f.Name, "name", "", "kind: name of the cluster, which is left alone if it is there (default: one of the run's own)")
	flags.StringVar(&f.KubernetesVersion, "kubernetes-version", "", "kind: version of Kubernetes, such as 1.36.3 (default: kind's own, or the newest that the engine has)")
	flags.StringVar(&f.NodeImage, "node-image", "", "kind: image of a node (default: that of the version, which the engine has or pulls)")
	flags.IntVar(&f.Nodes, "nodes", 1, "kind: nodes of the cluster")
	flags.BoolVar(&f.Keep, "keep", false, "kind: leave a cluster that was made")
	flags.StringVar(&f.Kubeconfig, "kubeconfig", "", "existing: path of a kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	flags.StringVar(&f.Context, "context", "", "existing: the kubeconfig's context, which has to be named")
	flags.StringVar(&f.ProbeImage, "probe-image", "", "existing: image of the probe, which its nodes have or can pull")
	flags.StringVar(&f.MeshVersion, "mesh-version", "", "kind, existing: version of the mesh, which is the tag of its images")
	flags.StringVar(&f.Hub, "hub", "", "kind, existing: registry and folder of the mesh's images")
	flags.StringVar(&f.Charts, "charts", "", "kind, existing: folder, or address of a repository, of the mesh's charts (default: those of its release)")
	completeWith(cmd, "mesh", func() []string { return append(meshes(), builtin.Auto) })
	completeWith(cmd, "provider", providers)
}

// choose finds the provider and the mesh. A flag that is for one provider alone
// decides what was left open; a cluster that somebody else made is never chosen
// that way. A flag that the provider has no use for is an error.
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
		c.Why = fmt.Sprintf("provider %s with mesh %s, as --%s asks", c.Provider.Name(), c.Mesh.Describe().Name, decided)
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if who := forProviders()[flag.Name]; who != nil && !c.Of(who...) {
			// This one first: it may be the reason for whatever else is wrong.
			err = fmt.Errorf("--%s is for provider %s, and this is %s", flag.Name, strings.Join(who, " and "), c.Why)
		}
	})
	if err == nil && f.Nodes < 1 {
		err = fmt.Errorf("--nodes %d: at least 1", f.Nodes)
	}
	return c, err
}

// left says how to use, and to take away, a cluster that a run made and left.
func (f *placeFlags) left(cmd *cobra.Command, id string) {
	if !f.Keep {
		return
	}
	name := cmp.Or(f.Name, id)
	fmt.Fprintf(cmd.ErrOrStderr(), "cluster %s stays: meshbreach run --provider kind --name %[1]s attacks it again, meshbreach down %[1]s takes it away\n", name)
}
