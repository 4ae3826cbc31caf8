package builtin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/envoy"
	"github.com/meshbreach/meshbreach/clusters/meshes/istio"
	"github.com/meshbreach/meshbreach/clusters/meshes/none"
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
	MeshVersion, Hub, Charts string

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
// Istio where a container engine answers and has all that takes, so that
// nothing is pulled unasked; else local, with Envoy where no mesh was named.
func (p Place) Choose(ctx context.Context) (Choice, error) {
	if p.Provider != Auto {
		if _, err := named("provider", p.Provider, Providers(), Auto); err != nil {
			return Choice{}, err
		}
	}
	if p.Mesh != Auto {
		if _, err := named("mesh", p.Mesh, Meshes(), Auto); err != nil {
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
	if provider != Local && !slices.Contains(onKubernetes(), mesh) {
		return c, fmt.Errorf("mesh %s is not built for provider %s, where there are %s; it runs on local", mesh, provider, strings.Join(onKubernetes(), " and "))
	}
	if c.place.Provider, c.place.Mesh = provider, mesh; provider == Existing {
		err = c.place.named()
	}
	c.Provider = c.place.provider(provider)
	return c, err
}

// onKubernetes are the meshes that run on a cluster with nodes; the first is
// taken where none is named.
func onKubernetes() []string { return []string{(istio.Mesh{}).Name(), (none.Mesh{}).Name()} }

// resolve settles what the user left open, and asks the engine only if it must.
func resolve(provider, mesh string, ask func() engine) (string, string, string) {
	usual := onKubernetes()[0]
	if provider != Auto {
		why := fmt.Sprintf("provider %s, as asked", provider)
		switch {
		case mesh != Auto:
			return provider, mesh, why
		case provider == Local:
			usual = (envoy.Mesh{}).Name()
		}
		return provider, usual, why + ", with mesh " + usual
	}
	if mesh != Auto && mesh != usual {
		return Local, mesh, fmt.Sprintf("provider local, chosen because kind is taken unasked for mesh %s alone", usual)
	}
	e := ask()
	lacks := e.lacks()
	if lacks == "" {
		return Kind, usual, fmt.Sprintf("provider kind with mesh %s, chosen because the container engine answers and has %s and the mesh's images", usual, e.node())
	}
	if mesh == Auto {
		mesh = (envoy.Mesh{}).Name()
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
	return existing.Options{
		Kubeconfig: p.Kubeconfig, Context: p.Context, Image: p.ProbeImage, Load: p.give(),
		Mesh: p.Mesh, ClusterWide: clusterWide(p.Mesh), Note: p.Note,
	}
}

// named is an error for a place on a cluster that exists, and that was not
// named well enough.
func (p Place) named() error {
	if p.Context == "" {
		return errors.New("provider existing needs --context NAME: the current context is never attacked by itself")
	}
	if p.ProbeImage == "" && p.give() == nil {
		return errors.New("provider existing needs --probe-image REFERENCE, which the cluster's nodes have or can pull; meshbreach image makes it")
	}
	return nil
}

// WithAdmission is the choice for scenarios that make policies of admission,
// which are for the whole cluster.
func (c Choice) WithAdmission() Choice {
	if p, ok := c.Provider.(existing.Provider); ok {
		p.Parts = append(slices.Clone(p.Parts), "admission")
		p.ClusterWide = append(slices.Clone(p.ClusterWide), "for the whole cluster: policies of admission, and webhooks that nobody answers, in force in the namespaces of this run alone")
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

// istioCharts has the charts of Istio's releases.
const istioCharts = "https://istio-release.storage.googleapis.com/charts"

// Release is the mesh's release for the place: made of programs on local, of
// images and charts on Kubernetes. The charts that come with meshbreach are for
// the release that it was built for; another one brings its own.
func (c Choice) Release(ctx context.Context, s Search) (meshes.Release, error) {
	if c.Of(Local) {
		return s.Release(ctx, c.Mesh.Name())
	}
	if c.Mesh.Name() != (istio.Mesh{}).Name() {
		return meshes.Release{}, nil
	}
	r := c.place.release(c.engine(ctx))
	if r.Hub == istio.OfflineHub {
		c.place.note(fmt.Sprintf("images of Istio: %s/pilot:%s and %[1]s/proxyv2:%[2]s, which were made without a registry and have a stock Envoy", r.Hub, r.Tag))
		r.Proxy = "stock Envoy of " + r.Hub + "/proxyv2:" + r.Tag
	} else if r.Hub != "" && r.Tag != "" {
		r.Proxy = "Envoy of " + r.Hub + "/proxyv2:" + r.Tag
	}
	switch {
	case r.Charts != "":
	case c.place.MeshVersion != "" && r.Hub != istio.OfflineHub:
		r.Charts = istioCharts
	default:
		found, err := s.find(ctx, istio.FileCharts)
		if err != nil {
			return meshes.Release{}, err
		}
		r.Programs = map[string]string{istio.FileCharts: found.Path}
	}
	return r, nil
}

// clusterWide is what a mesh makes outside of namespaces, a line a thing.
func clusterWide(mesh string) []string {
	if mesh != (istio.Mesh{}).Name() {
		return nil
	}
	return []string{
		"for each range one more namespace, with a control plane of its own",
		"for the whole cluster: a ClusterRole and a binding for each control plane, and the webhooks with which it puts proxies into pods of its own namespaces",
		"for the whole cluster: definitions of Istio's kinds, where they are not there yet; these stay, for others may use them by then",
	}
}

func (p Place) note(text string) {
	if p.Note != nil {
		p.Note(text)
	}
}
