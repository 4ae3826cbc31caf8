package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
)

// Scope is the narrowest part of a real mesh that a mistake can be made in.
type Scope string

// The scopes, narrow first.
const (
	ScopeRange        Scope = "range"        // one team's own policy
	ScopeMesh         Scope = "mesh"         // a setting that all workloads share
	ScopeControlPlane Scope = "controlplane" // how the control plane behaves
)

// A Misconfiguration is a known mistake, made on purpose. As a mutant it shows that
// an attack would have won, and so that a refusal meant something.
type Misconfiguration struct {
	Name  string
	Doc   string // the mistake, and what it is called in Istio, Linkerd and Consul
	Scope Scope
	Apply func(*Policy)
}

// Misconfigure is the policy with the named mistakes made in the given order. The
// policy that it is given stays as it is.
func Misconfigure(p Policy, names ...string) (Policy, error) {
	p = p.Clone()
	all := Misconfigurations()
	for _, name := range names {
		i := slices.IndexFunc(all, func(w Misconfiguration) bool { return w.Name == name })
		if i < 0 {
			return Policy{}, fmt.Errorf("no misconfiguration is named %q%s", name, meant(name, all))
		}
		all[i].Apply(&p)
	}
	return p, nil
}

func meant(got string, all []Misconfiguration) string {
	var known []string
	for _, w := range all {
		known = append(known, w.Name)
	}
	if near := clusters.Nearest(got, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// Misconfigurations is every known mistake, by name.
func Misconfigurations() []Misconfiguration {
	all := slices.Concat(callerMistakes(), requestMistakes(), tokenMistakes(), trustMistakes(), changeMistakes(), issuanceMistakes(), exposureMistakes(), admissionMistakes(), fetchingMistakes())
	slices.SortFunc(all, func(a, b Misconfiguration) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
