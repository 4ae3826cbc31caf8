// Package explain describes scenarios, attacks and misconfigurations in prose: for
// the command line, for docs/catalog and for the matrix of expectations.
package explain

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/suggest"
)

// Explain describes what a name stands for: a scenario of the catalogue, a family
// or a glob, a scenario file, an attack or a misconfiguration. For an unknown name
// the error suggests the nearest one.
func Explain(w io.Writer, name string) error {
	p := &prose{}
	if err := p.subject(name); err != nil {
		return err
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// Explainable lists the scenarios, attacks and misconfigurations, sorted.
func Explainable() ([]string, error) {
	all, err := scenarios.Catalog()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range all {
		names = append(names, s.ID)
	}
	for _, a := range attacks.Catalog() {
		names = append(names, a.Name())
	}
	for _, w := range policy.Misconfigurations() {
		names = append(names, w.Name)
	}
	slices.Sort(names)
	return names, nil
}

func (p *prose) subject(name string) error {
	if a, ok := scenarios.FindAttack(name); ok {
		p.attack(a)
		return nil
	}
	if w, ok := misconfiguration(name); ok {
		p.misconfiguration(w)
		return p.usedBy(w.Name)
	}
	picked, err := scenarios.Rules{}.Pick([]string{name})
	if err == nil {
		for i, s := range picked {
			if i > 0 {
				p.WriteString("\n\n")
			}
			p.scenario(s)
		}
		return nil
	}
	var at *scenarios.Problem
	if scenarios.IsFile(name) || errors.As(err, &at) {
		return err
	}
	meant, err := suggestion(name)
	if err != nil {
		return err
	}
	return fmt.Errorf("no scenario, attack or misconfiguration is named %q%s", name, meant)
}

// suggestion is the nearest name that Explain takes. A scenario's name without its
// family counts as well.
func suggestion(name string) (string, error) {
	names, err := Explainable()
	if err != nil {
		return "", err
	}
	known := slices.Clone(names)
	for _, n := range names {
		if family := path.Dir(n); family != "." {
			known = append(known, family)
		}
	}
	if near := suggest.Text(name, known); near != "" {
		return near, nil
	}
	for _, n := range names {
		if path.Base(n) == path.Base(name) || name != "" && strings.HasPrefix(n, name) {
			return fmt.Sprintf(" (did you mean %q?)", n), nil
		}
	}
	return "", nil
}

func misconfiguration(name string) (policy.Misconfiguration, bool) {
	all := policy.Misconfigurations()
	i := slices.IndexFunc(all, func(w policy.Misconfiguration) bool { return w.Name == name })
	if i < 0 {
		return policy.Misconfiguration{}, false
	}
	return all[i], true
}

func (p *prose) attack(a attacker.Attack) {
	p.title("attack %s: %s", a.Name(), a.Title())
	p.heading("What it does")
	p.text(2, "%s", a.Doc())
	all, err := scenarios.Catalog()
	if err != nil {
		return // the catalogue's own test reports why
	}
	p.heading("Attempts that use it")
	for _, s := range all {
		var ids []string
		for _, t := range s.Attempts {
			if t.Attack == a.Name() {
				ids = append(ids, t.ID)
			}
		}
		if len(ids) > 0 {
			p.point(2, "%s: %s", s.ID, strings.Join(ids, ", "))
		}
	}
}

func (p *prose) misconfiguration(w policy.Misconfiguration) {
	p.title("misconfiguration %s (scope: %s)", w.Name, w.Scope)
	p.heading("What is wrong")
	p.text(2, "%s", w.Doc)
}

func (p *prose) usedBy(name string) error {
	all, err := scenarios.Catalog()
	if err != nil {
		return err
	}
	first := true
	for _, s := range all {
		for _, m := range s.Mutants {
			if !slices.Contains(m.Misconfigure, name) {
				continue
			}
			if first {
				p.heading("Attempts it opens")
				first = false
			}
			p.point(2, "%s: %s%s", s.ID, strings.Join(m.Opens, ", "), beside(m.Misconfigure, name))
		}
	}
	return nil
}

// beside names the other misconfigurations of a mutant.
func beside(all []string, but string) string {
	rest := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == but })
	if len(rest) == 0 {
		return ""
	}
	return " (together with " + strings.Join(rest, " and ") + ")"
}

func (p *prose) maps(s scenarios.Scenario) {
	p.heading("Mappings")
	for _, framework := range slices.Sorted(maps.Keys(s.Maps)) {
		p.item(2, 9, framework, strings.Join(s.Maps[framework], ", "))
	}
}

// flow is parameters on one line, in the form of a scenario file.
func flow(with map[string]any) string {
	if len(with) == 0 {
		return "{}"
	}
	b, err := yaml.MarshalWithOptions(with, yaml.Flow(true))
	if err != nil {
		return fmt.Sprint(with)
	}
	return strings.TrimSpace(string(b))
}
