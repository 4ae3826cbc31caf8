package clusters

import (
	"cmp"
	"fmt"
	"slices"
)

// Scope is the narrowest part of a real mesh that a mistake can be made in.
type Scope string

// The scopes, narrow first.
const (
	ScopeRange        Scope = "range"        // one team's own policy
	ScopeMesh         Scope = "mesh"         // a setting that all workloads share
	ScopeControlPlane Scope = "controlplane" // how the control plane behaves
)

// A Weakening is a known mistake, made on purpose. As a mutant it shows that
// an attack would have won, and so that a refusal meant something.
type Weakening struct {
	Name  string
	Doc   string // the mistake, and what it is called in Istio, Linkerd and Consul
	Scope Scope
	Apply func(*Policy)
}

// Weaken is the policy with the named mistakes made in the given order. The
// policy that it is given stays as it is.
func Weaken(p Policy, names ...string) (Policy, error) {
	p = p.Clone()
	all := Weakenings()
	for _, name := range names {
		i := slices.IndexFunc(all, func(w Weakening) bool { return w.Name == name })
		if i < 0 {
			return Policy{}, fmt.Errorf("no weakening is named %q%s", name, meant(name, all))
		}
		all[i].Apply(&p)
	}
	return p, nil
}

func meant(got string, all []Weakening) string {
	var known []string
	for _, w := range all {
		known = append(known, w.Name)
	}
	if near := Nearest(got, known); near != "" {
		return fmt.Sprintf(" (did you mean %q?)", near)
	}
	return ""
}

// Clone is a copy that shares no memory with the policy.
func (p Policy) Clone() Policy {
	p.Plaintext = slices.Clone(p.Plaintext)
	p.Allow = slices.Clone(p.Allow)
	for i := range p.Allow {
		r := &p.Allow[i]
		r.From = slices.Clone(r.From)
		r.Methods = slices.Clone(r.Methods)
		r.Paths = slices.Clone(r.Paths)
		r.Ports = slices.Clone(r.Ports)
		if r.Token != nil {
			claim := *r.Token
			r.Token = &claim
		}
	}
	if p.Tokens != nil {
		tokens := *p.Tokens
		tokens.At = slices.Clone(tokens.At)
		tokens.Issuers = slices.Clone(tokens.Issuers)
		p.Tokens = &tokens
	}
	p.Trust.ExtraRoots = slices.Clone(p.Trust.ExtraRoots)
	return p
}

// Weakenings is every known mistake, by name.
func Weakenings() []Weakening {
	all := slices.Concat(callerMistakes(), requestMistakes(), tokenMistakes(), trustMistakes(), changeMistakes(), issuanceMistakes(), exposureMistakes(), admissionMistakes(), fetchingMistakes())
	slices.SortFunc(all, func(a, b Weakening) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func eachRule(change func(*Rule)) func(*Policy) {
	return func(p *Policy) {
		for i := range p.Allow {
			change(&p.Allow[i])
		}
	}
}

func eachClaim(change func(*Claim)) func(*Policy) {
	return eachRule(func(r *Rule) {
		if r.Token != nil {
			change(r.Token)
		}
	})
}

func tokens(change func(*Tokens)) func(*Policy) {
	return func(p *Policy) {
		if p.Tokens != nil {
			change(p.Tokens)
		}
	}
}
