package builtin

import (
	"context"
	"fmt"
	"io"
	"maps"

	"sigs.k8s.io/yaml"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// A planner is a mesh that says what it would make on a cluster with nodes,
// before there is any policy, and what it changes in the pods there.
type planner interface {
	Plan(ctx context.Context, r meshes.Release, ranges []clusters.Range) ([]kubeapi.Object, kubernetes.Dress, error)
}

// Plan writes the objects that a run would make on a cluster, as YAML, and
// makes none. Keys are left out, and definitions of kinds are only named.
func (c Choice) Plan(ctx context.Context, to io.Writer, run string, ranges int, r meshes.Release) error {
	spec := clusters.Spec{Name: run, Ranges: max(1, ranges)}
	all, err := kubernetes.Ranges(spec)
	if err != nil {
		return err
	}
	var ofMesh []kubeapi.Object
	var dress kubernetes.Dress
	if m, ok := c.Mesh.(planner); ok {
		if ofMesh, dress, err = m.Plan(ctx, r, all); err != nil {
			return err
		}
	}
	image := c.place.ProbeImage
	if image == "" {
		image = "the probe's image, loaded onto the nodes"
	}
	objects, err := kubernetes.Plan(image, spec, dress)
	if err != nil {
		return err
	}
	fmt.Fprintf(to, "# What run %s would create, except the mesh's objects for each scenario's policy,\n# which go into the same namespaces. Nothing was created.\n", spec.Name)
	for _, o := range merged(ofMesh, objects) {
		if err := write(to, o, spec.Name); err != nil {
			return err
		}
	}
	return nil
}

// merged are the objects of a mesh and of the cast, namespaces first, each of
// them once with all its labels.
func merged(mesh, cast []kubeapi.Object) []kubeapi.Object {
	var spaces, rest []kubeapi.Object
	labels := map[string]map[string]any{}
	for _, list := range [][]kubeapi.Object{cast, mesh} {
		for _, o := range list {
			if o["kind"] != "Namespace" {
				rest = append(rest, o)
				continue
			}
			meta, _ := o["metadata"].(map[string]any)
			name, _ := meta["name"].(string)
			more, _ := meta["labels"].(map[string]any)
			if labels[name] == nil {
				labels[name] = map[string]any{}
				meta["labels"] = labels[name]
				spaces = append(spaces, o)
			}
			maps.Copy(labels[name], more)
		}
	}
	return append(spaces, rest...)
}

// write adds a document, with the run's label, as it would be made.
func write(to io.Writer, o kubeapi.Object, run string) error {
	meta, _ := o["metadata"].(map[string]any)
	if o["kind"] == "CustomResourceDefinition" {
		_, err := fmt.Fprintf(to, "# custom resource definition, if missing: %v\n", meta["name"])
		return err
	}
	labels, _ := meta["labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
	}
	labels[kubernetes.LabelRun] = run
	meta["labels"] = labels
	text, err := yaml.Marshal(o)
	if err != nil {
		return fmt.Errorf("write %s: %w", o.Text(), err)
	}
	_, err = fmt.Fprintf(to, "---\n%s", text)
	return err
}
