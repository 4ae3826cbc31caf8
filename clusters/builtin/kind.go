package builtin

import (
	"context"
	"os/exec"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/providers/existing"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

func (p Place) kind() kind.Options {
	return kind.Options{
		Name: p.Name, Image: p.NodeImage, KubernetesVersion: p.KubernetesVersion, Nodes: p.Nodes,
		Keep: p.Keep, LogDir: p.LogDir, Note: p.Note,
	}
}

// kindContext is how kind names a cluster's context: the engine that a context
// of that name leads to is probably on this machine.
const kindContext = "kind-"

// give puts the probe, and what images of the mesh the engine has, on the nodes
// of a cluster of kind that somebody else made; nil where the context names
// none.
func (p Place) give() func(ctx context.Context, probe string) (string, error) {
	name, ok := strings.CutPrefix(p.Context, kindContext)
	if !ok {
		return nil
	}
	return func(ctx context.Context, probe string) (string, error) {
		return kind.Give(ctx, name, probe, p.note, p.images(askEngine(ctx))...)
	}
}

// images are those of the mesh that the flags name or that the engine has.
func (p Place) images(e engine) []string {
	r := p.release(e)
	if r.Hub == "" || r.Tag == "" {
		return nil
	}
	return p.mesh().Images.References(r.Hub, r.Tag)
}

// release is the one that the flags name, or else the one whose images the
// engine has.
func (p Place) release(e engine) meshes.Release {
	r := meshes.Release{Hub: strings.TrimSuffix(p.Registry, "/"), Tag: p.MeshVersion, Charts: p.Charts}
	ours := p.Provider == Kind || strings.HasPrefix(p.Context, kindContext)
	if hub, tag := p.mesh().Images.Among(e.images); ours && hub != "" && (r.Hub == "" || r.Hub == hub) && (r.Tag == "" || r.Tag == tag) {
		r.Hub, r.Tag = hub, tag
	}
	r.Version = r.Tag
	return r
}

// Prepare makes or finds the cluster of kind that the place names, and gives
// its nodes all that runs need. It stays; the result is the path of a
// kubeconfig for it.
func (c Choice) Prepare(ctx context.Context, probe string) (kubeconfig string, err error) {
	o := c.place.kind()
	o.Keep = true
	return kind.Provider{Options: o}.Prepare(ctx, probe, c.place.images(c.engine(ctx))...)
}

// Down removes what is left of a cluster or of a run of that name, and what any
// run left where none is named: on the cluster that the place's context names,
// or else of provider kind. Note is told each thing that is removed, and each
// that stays with the reason. A provider that lives in kernel namespaces
// leaves nothing.
func (p Place) Down(ctx context.Context, name string) error {
	if p.Context != "" || p.Kubeconfig != "" {
		o := p.existing()
		o.Roles = furtherRoles()
		return existing.Down(ctx, o, name)
	}
	if _, err := exec.LookPath(engineProgram); err != nil {
		return nil //nolint:nilerr // without an engine there are no clusters of kind
	}
	return kind.Down(ctx, name, p.note)
}
