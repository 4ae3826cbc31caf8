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
)

// Auto is the name that leaves a choice to Place.Choose.
const Auto = "auto"

// Providers are all providers, by name.
func Providers() []clusters.Provider {
	return byName([]clusters.Provider{existing.Provider{}, kind.Provider{}, local.Provider{}})
}

// Meshes are all meshes, by name.
func Meshes() []meshes.Mesh {
	return byName([]meshes.Mesh{none.Mesh{}, envoy.Mesh{}, consul.Mesh{}, istio.Mesh{}})
}

// Provider finds a provider by name. The error for an unknown one names all,
// and the one that was probably meant.
func Provider(name string) (clusters.Provider, error) {
	return named("provider", name, Providers())
}

// Mesh finds a mesh by name; errors are as Provider's.
func Mesh(name string) (meshes.Mesh, error) {
	return named("mesh", name, Meshes())
}

// Misconfigurations are all known mistakes, by name.
func Misconfigurations() []policy.Misconfiguration { return policy.Misconfigurations() }

// CheckWeakenings is an error for the first name that no misconfiguration has.
func CheckWeakenings(names []string) error {
	_, err := policy.Misconfigure(policy.Policy{}, names...)
	return err
}

// Suggest is " (did you mean ...?)" with the known name nearest to a misspelt
// one, or nothing.
func Suggest(got string, known []string) string {
	if near := clusters.Nearest(got, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// Names are the names of a list.
func Names[T interface{ Name() string }](list []T) []string {
	names := make([]string, 0, len(list))
	for _, v := range list {
		names = append(names, v.Name())
	}
	return names
}

func byName[T interface{ Name() string }](list []T) []T {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(a.Name(), b.Name()) })
	return list
}

func named[T interface{ Name() string }](what, name string, list []T, also ...string) (T, error) {
	for _, v := range list {
		if v.Name() == name {
			return v, nil
		}
	}
	var zero T
	names := append(Names(list), also...)
	slices.Sort(names)
	return zero, fmt.Errorf("unknown %s %q%s: known are %s", what, name, Suggest(name, names), strings.Join(names, ", "))
}
