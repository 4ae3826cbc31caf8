package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/suggest"
)

// Scope is the narrowest part of a real mesh in which a misconfiguration is made.
type Scope string

// The scopes, narrowest first.
const (
	ScopeRange        Scope = "range"        // one team's own policy
	ScopeMesh         Scope = "mesh"         // a setting that all workloads share
	ScopeControlPlane Scope = "controlplane" // how the control plane behaves
)

// A Misconfiguration is a known mistake, made on purpose. As a mutant it shows that
// the attack can win, and so that its refusal means something.
type Misconfiguration struct {
	Name  string
	Doc   string // what is wrong, and how it is configured in Istio, Linkerd and Consul
	Scope Scope
	Apply func(*Policy)
}

// Misconfigure applies the named misconfigurations, in order, to a copy of the
// policy.
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
	return suggest.Text(got, known)
}

// Misconfigurations are all known misconfigurations, sorted by name.
func Misconfigurations() []Misconfiguration {
	all := slices.Concat(callerMistakes(), requestMistakes(), tokenMistakes(), trustMistakes(), changeMistakes(), issuanceMistakes(), exposureMistakes(), admissionMistakes(), fetchingMistakes())
	slices.SortFunc(all, func(a, b Misconfiguration) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
