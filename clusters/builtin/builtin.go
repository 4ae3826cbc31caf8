// Package builtin lists the providers and the meshes that come with
// meshbreach: a new one is one line here. The lists are not in package clusters
// because providers and meshes import that one.
package builtin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/consul"
	"github.com/meshbreach/meshbreach/clusters/meshes/envoy"
	"github.com/meshbreach/meshbreach/clusters/meshes/istio"
	"github.com/meshbreach/meshbreach/clusters/meshes/none"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/providers/existing"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
	"github.com/meshbreach/meshbreach/suggest"
)

// Auto is the name that leaves a choice to Place.Choose.
const Auto = "auto"

// allMeshes is the list of meshes. Where none is named, a provider gets the
// first that runs on it.
func allMeshes() []meshes.Mesh {
	return []meshes.Mesh{envoy.Mesh{}, istio.Mesh{}, consul.Mesh{}, none.Mesh{}}
}

// usual is the mesh that a provider gets where none is named.
func usual(provider string) meshes.Mesh { return on(provider)[0] }

// on are the meshes that run on a provider, the usual one first.
func on(provider string) []meshes.Mesh {
	return slices.DeleteFunc(allMeshes(), func(m meshes.Mesh) bool { return !m.Describe().RunsOn(provider) })
}

// Providers are all providers, by name.
func Providers() []clusters.Provider {
	return byName([]clusters.Provider{existing.Provider{}, kind.Provider{}, local.Provider{}}, clusters.Provider.Name)
}

// Meshes are all meshes, by name.
func Meshes() []meshes.Mesh { return byName(allMeshes(), meshName) }

func meshName(m meshes.Mesh) string { return m.Describe().Name }

// Provider finds a provider by name. The error for an unknown one names all,
// and the one that was probably meant.
func Provider(name string) (clusters.Provider, error) {
	return named("provider", name, Providers(), clusters.Provider.Name)
}

// Mesh finds a mesh by name; errors are as Provider's.
func Mesh(name string) (meshes.Mesh, error) {
	return named("mesh", name, Meshes(), meshName)
}

// Misconfigurations are all known mistakes, by name.
func Misconfigurations() []policy.Misconfiguration { return policy.Misconfigurations() }

// CheckWeakenings is an error for the first name that no misconfiguration has.
func CheckWeakenings(names []string) error {
	_, err := policy.Misconfigure(policy.Policy{}, names...)
	return err
}

// MeshNames are the names of all meshes, sorted.
func MeshNames() []string { return names(Meshes(), meshName) }

// UsualMesh is the name of the mesh that is made on this machine where none is
// named.
func UsualMesh() string { return meshName(usual(Local)) }

// ReferenceMeshes are the names of those of which every scenario says what it
// expects.
func ReferenceMeshes() []string {
	return names(slices.DeleteFunc(Meshes(), func(m meshes.Mesh) bool { return !m.Describe().Reference }), meshName)
}

// ProviderNames are the names of all providers, sorted.
func ProviderNames() []string { return names(Providers(), clusters.Provider.Name) }

func names[T any](list []T, name func(T) string) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, name(v))
	}
	return out
}

func byName[T any](list []T, name func(T) string) []T {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return list
}

func named[T any](what, name string, list []T, nameOf func(T) string, also ...string) (T, error) {
	for _, v := range list {
		if nameOf(v) == name {
			return v, nil
		}
	}
	var zero T
	known := append(names(list, nameOf), also...)
	slices.Sort(known)
	return zero, fmt.Errorf("unknown %s %q%s: known are %s", what, name, suggest.Text(name, known), strings.Join(known, ", "))
}
