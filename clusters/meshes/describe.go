package meshes

import (
	"context"
	"slices"
	"strings"
)

// A Descriptor is all that the rest of the program knows of a mesh: nobody
// outside of a mesh's own folder names it. Name and Providers are always set.
type Descriptor struct {
	Name  string // as flags and scenarios have it
	Title string // as its makers write it

	// Reference is that every scenario says what it expects on this mesh, which
	// anybody can make: it takes no control plane.
	Reference bool

	// Providers are the names of those that it runs on.
	Providers []string
	// Programs are what it runs where it is made of processes, by their names in
	// package programs. The first one's version is that of the release.
	Programs []string
	Images   Images
	Charts   Charts

	// Roles are the ClusterRoles, YAML, that an account needs to install the mesh
	// on a cluster, beside those that every run needs. One for the mesh NAME is
	// called meshbreach-NAME.
	Roles []byte
	// ClusterWide is what the mesh makes outside of the namespaces of a run, a
	// line for people each.
	ClusterWide []string
	// Admission is what it makes outside of them for scenarios that submit
	// objects to the platform; these are the ones that are cluster-wide.
	Admission []string

	Proxy Proxy
	// Protocol is what the mesh's certificate authority speaks, as in
	// identity.Endpoint; empty where workloads ask none.
	Protocol string
	Identity Identity

	// Capabilities are what a release can do. An Installed that is Proven knows
	// better.
	Capabilities func(Release) []Capability
}

// RunsOn says whether the mesh runs on the provider of that name.
func (d Descriptor) RunsOn(provider string) bool { return slices.Contains(d.Providers, provider) }

// Can are the capabilities of a release.
func (d Descriptor) Can(r Release) []Capability {
	if d.Capabilities == nil {
		return nil
	}
	return d.Capabilities(r)
}

// Images are those that a mesh runs from on Kubernetes. They share a hub, which
// is a registry and a folder, and a tag. The zero value is none.
type Images struct {
	Names []string
	Proxy string // which of the names has the proxy
	// Offline is the hub of those that are made without any registry. Their
	// proxy is a stock build.
	Offline string
}

// References are the images of a hub with a tag.
func (i Images) References(hub, tag string) []string {
	out := make([]string, 0, len(i.Names))
	for _, name := range i.Names {
		out = append(out, hub+"/"+name+":"+tag)
	}
	return out
}

// Among is the first hub and tag of which all images are among the references;
// empty where there is none.
func (i Images) Among(references []string) (hub, tag string) {
	if len(i.Names) == 0 {
		return "", ""
	}
	for _, ref := range references {
		at := strings.LastIndexByte(ref, ':')
		if at < 0 {
			continue
		}
		hub, is := strings.CutSuffix(ref[:at], "/"+i.Names[0])
		tag := ref[at+1:]
		if is && !slices.ContainsFunc(i.References(hub, tag), func(r string) bool { return !slices.Contains(references, r) }) {
			return hub, tag
		}
	}
	return "", ""
}

// Charts are where a mesh's charts come from. The zero value is none.
type Charts struct {
	Program    string // the name in Release.Programs of those that come with meshbreach
	Repository string // the address of a chart repository that has all releases
}

// A Proxy is what stands before workloads. The zero value is none.
type Proxy struct {
	Name    string // as its makers write it
	Program string // its name in Release.Programs
	// Own says whether a program is a build of the proxy that only this mesh
	// has. It is nil where there is no such build. An error means that it could
	// not be told.
	Own func(ctx context.Context, path string) (bool, error)
}

// Identity is the form of the identities in a mesh's leaves.
type Identity string

// The forms. The zero value is that leaves are not of this mesh's making.
const (
	IdentityURI Identity = "URI" // a SPIFFE ID
	IdentityDNS Identity = "DNS" // a name of a service, and no URI
)
