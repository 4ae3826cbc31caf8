package builtin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/providers/existing"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// A Place is where the user wants a mesh to be made, as far as that was said.
// Fields that are not of the provider are not looked at.
type Place struct {
	Provider, Mesh string // names, or Auto

	// Of kind.
	Name              string // of a cluster that outlives the run; one of the run's own when empty
	KubernetesVersion string
	NodeImage         string
	Nodes             int
	Keep              bool
	LogDir            string // for the nodes' logs, when making it goes wrong

	// Of existing.
	Kubeconfig, Context, ProbeImage string

	// Of both: the mesh's release.
	MeshVersion, Registry, Charts string

	// Note, which may be nil, is told what takes long or may surprise.
	Note func(string)
}

// The names of providers, as flags refer to them.
const (
	Local    = "local"
	Kind     = "kind"
	Existing = "existing"
)

// A Choice is what a Place comes to.
type Choice struct {
	Provider clusters.Provider
	Mesh     meshes.Mesh
	Why      string // one sentence

	place  Place
	engine func(context.Context) engine
}

// Choose finds the provider and the mesh, and makes nothing. Auto is kind with
// its usual mesh where a container engine answers and has all that takes, so
// that nothing is pulled unasked; else local, with its usual mesh where none was
// named.
func (p Place) Choose(ctx context.Context) (Choice, error) {
	if p.Provider != Auto {
		if _, err := named("provider", p.Provider, Providers(), clusters.Provider.Name, Auto); err != nil {
			return Choice{}, err
		}
	}
	if p.Mesh != Auto {
		if _, err := named("mesh", p.Mesh, Meshes(), meshName, Auto); err != nil {
			return Choice{}, err
		}
	}
	c := Choice{place: p, engine: askEngine}
	if Inside() { // the outer process chose, and only local has an inner one
		c.engine = func(context.Context) engine { return engine{err: errors.New("the outer process chose it")} }
	}
	provider, mesh, why := resolve(p.Provider, p.Mesh, func() engine { return c.engine(ctx) })
	c.Why = why
	var err error
	if c.Mesh, err = Mesh(mesh); err != nil {
		return c, err
	}
	if d := c.Mesh.Describe(); !d.RunsOn(provider) {
		return c, fmt.Errorf("mesh %s is not built for provider %s, where there are %s; it runs on %s",
			mesh, provider, strings.Join(names(on(provider), meshName), " and "), strings.Join(d.Providers, " and "))
	}
	if c.place.Provider, c.place.Mesh = provider, mesh; provider == Existing {
		err = c.place.named()
	}
	c.Provider = c.place.provider(provider)
	return c, err
}

// resolve settles what the user left open, and asks the engine only if it must.
func resolve(provider, mesh string, ask func() engine) (string, string, string) {
	if provider != Auto {
		why := fmt.Sprintf("provider %s, as asked", provider)
		if mesh != Auto {
			return provider, mesh, why
		}
		mesh = meshName(usual(provider))
		return provider, mesh, why + ", with mesh " + mesh
	}
	onKind := usual(Kind).Describe()
	if mesh != Auto && mesh != onKind.Name {
		return Local, mesh, fmt.Sprintf("provider local, chosen because kind is the default only for mesh %s", onKind.Name)
	}
	e := ask()
	lacks := e.lacks(onKind)
	if lacks == "" {
		return Kind, onKind.Name, fmt.Sprintf("provider kind with mesh %s, chosen because the container engine answers and has %s and the mesh's images", onKind.Name, e.node())
	}
	if mesh == Auto {
		mesh = meshName(usual(Local))
	}
	return Local, mesh, fmt.Sprintf("provider local with mesh %s, chosen because %s", mesh, lacks)
}

// provider is the one of that name, made as the place says.
func (p Place) provider(name string) clusters.Provider {
	switch name {
	case Existing:
		return existing.Provider{Options: p.existing()}
	case Kind:
		return kind.Provider{Options: p.kind()}
	default:
		return local.Provider{}
	}
}

func (p Place) existing() existing.Options {
	o := existing.Options{
		Kubeconfig: p.Kubeconfig, Context: p.Context, Image: p.ProbeImage, Load: p.give(), Note: p.Note,
	}
	d := p.mesh()
	if o.ClusterWide = d.ClusterWide; len(d.Roles) > 0 {
		o.Roles = [][]byte{d.Roles}
	}
	return o
}

// mesh describes the mesh that is named; the zero value where none is.
func (p Place) mesh() meshes.Descriptor {
	m, err := Mesh(p.Mesh)
	if err != nil {
		return meshes.Descriptor{}
	}
	return m.Describe()
}

// named is an error for a place on a cluster that exists, and that was not
// named well enough.
func (p Place) named() error {
	if p.Context == "" {
		return errors.New("provider existing needs --context NAME; the current context is never used by default")
	}
	if p.ProbeImage == "" && p.give() == nil {
		return errors.New("provider existing needs --probe-image REFERENCE, an image that the nodes have or can pull; to create it, run meshbreach image")
	}
	return nil
}

// WithAdmission is the choice for scenarios that make policies of admission,
// which are for the whole cluster.
func (c Choice) WithAdmission() Choice {
	if p, ok := c.Provider.(existing.Provider); ok {
		p.Roles = append(slices.Clone(p.Roles), existing.RoleAdmission())
		p.ClusterWide = append(slices.Clone(p.ClusterWide), c.Mesh.Describe().Admission...)
		c.Provider = p
	}
	return c
}

// Of says whether the provider has one of these names.
func (c Choice) Of(providers ...string) bool { return slices.Contains(providers, c.Provider.Name()) }

// Check is an error where the provider cannot work, as far as can be told
// before anything is made.
func (c Choice) Check(ctx context.Context) error {
	switch p := c.Provider.(type) {
	case existing.Provider:
		_, err := p.Ready(ctx)
		return err
	case kind.Provider:
		return p.Ready(ctx)
	}
	return nil
}

// Release is the mesh's release for the place: made of programs on local, of
// images and charts on Kubernetes. The charts that come with meshbreach are for
// the release that it was built for; another one brings its own.
func (c Choice) Release(ctx context.Context, s Search) (meshes.Release, error) {
	d := c.Mesh.Describe()
	if c.Of(Local) {
		return s.release(ctx, d)
	}
	if len(d.Images.Names) == 0 {
		return meshes.Release{}, nil
	}
	r := c.place.release(c.engine(ctx))
	offline := d.Images.Offline != "" && r.Hub == d.Images.Offline
	image := d.Images.Proxy + ":" + r.Tag
	if offline {
		c.place.note(fmt.Sprintf("images of %s: %s, which were made without a registry and have a stock %s",
			d.Title, strings.Join(d.Images.References(r.Hub, r.Tag), " and "), d.Proxy.Name))
		r.Proxy = fmt.Sprintf("stock %s of %s/%s", d.Proxy.Name, r.Hub, image)
	} else if r.Hub != "" && r.Tag != "" {
		r.Proxy = fmt.Sprintf("%s of %s/%s", d.Proxy.Name, r.Hub, image)
	}
	switch {
	case r.Charts != "":
	case c.place.MeshVersion != "" && !offline:
		r.Charts = d.Charts.Repository
	case d.Charts.Program != "":
		found, err := s.find(ctx, d.Charts.Program)
		if err != nil {
			return meshes.Release{}, err
		}
		r.Programs = map[string]string{d.Charts.Program: found.Path}
	}
	return r, nil
}

func (p Place) note(text string) {
	if p.Note != nil {
		p.Note(text)
	}
}
