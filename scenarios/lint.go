package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters"
)

// linter checks what the types cannot: that names exist and that an attempt
// can prove something.
type linter struct {
	file  string
	tree  *ast.File
	found []error
}

func (l *linter) say(path, format string, args ...any) {
	line, column := at(l.tree, path)
	l.found = append(l.found, &Problem{l.file, line, column, fmt.Sprintf(format, args...)})
}

// known says so unless name is one of names.
func (l *linter) known(path, what, name string, names []string) bool {
	if slices.Contains(names, name) {
		return true
	}
	l.say(path, "unknown %s %q%s", what, name, suggestion(name, names))
	return false
}

func (l *linter) scenario(s Scenario) {
	for path, v := range map[string]string{"$.id": s.ID, "$.title": s.Title, "$.why": s.Why} {
		if strings.TrimSpace(v) == "" {
			l.say(path, "%s is missing", strings.TrimPrefix(path, "$."))
		}
	}
	l.known("$.pillar", "pillar", s.Pillar, []string{"policy", "rotation", "detection"})
	l.known("$.severity", "severity", s.Severity, []string{"low", "medium", "high", "critical"})
	cast := castNames()
	l.known("$.cast.friend", "cast member", s.Cast.Friend, cast)
	l.known("$.cast.foe", "cast member", s.Cast.Foe, cast)
	l.known("$.cast.target", "cast member", s.Cast.Target, cast)
	l.policy("$.policy", s.Policy)
	if s.Control != nil {
		l.call("$.control", s.Control.Attack, s.Control.With)
	}
	if len(s.Attempts) == 0 {
		l.say("$.id", "a scenario has attempts")
	}
	if len(s.Maps) == 0 {
		l.say("$.id", "maps is missing: which framework names this")
	}
	ids := []string{}
	for i, a := range s.Attempts {
		path := fmt.Sprintf("$.attempts[%d]", i)
		if slices.Contains(ids, a.ID) {
			l.say(path+".id", "attempt %q is there twice", a.ID)
		}
		ids = append(ids, a.ID)
		l.attempt(path, s, a)
	}
	l.mutants(s, ids)
}

func (l *linter) attempt(path string, s Scenario, a Attempt) {
	if a.ID == "" {
		l.say(path, "an attempt has an id")
	}
	if a.From != "" {
		l.known(path+".from", "cast member", a.From, castNames())
	}
	if a.Policy != nil {
		l.policy(path+".policy", *a.Policy)
	}
	for i, step := range slices.Concat(a.Steps, a.Restore) {
		if n := count(step.Apply != nil, step.Rotate != "", step.Await != ""); n != 1 {
			l.say(path, "step %d says %d things; it takes one of apply, rotate, await", i+1, n)
		}
		if step.Rotate != "" {
			l.known(path+".steps", "rotation", string(step.Rotate), rotations())
		}
	}
	for _, mesh := range []string{"none", "envoy"} {
		if _, ok := a.Expect[mesh]; !ok {
			l.say(path+".id", "attempt %q says nothing of mesh %s", a.ID, mesh)
		}
	}
	if a.Attack == "" {
		if len(a.Steps) == 0 {
			l.say(path+".id", "attempt %q has neither an attack nor steps", a.ID)
		}
		return
	}
	l.call(path, a.Attack, a.With)
	twin := s.twin(a)
	if twin == nil {
		l.say(path+".id", "attempt %q has no twin", a.ID)
		return
	}
	l.call(path, a.Attack, twin)
}

// call checks that an attack exists and takes its parameters.
func (l *linter) call(path, name string, with map[string]any) {
	attack, ok := known(name)
	if !ok {
		var names []string
		for _, a := range attacks.Catalog() {
			names = append(names, a.Name())
		}
		l.known(path+".attack", "attack", name, names)
		return
	}
	raw, err := params(with)
	if err == nil {
		_, err = attack.Decode(raw)
	}
	if err != nil {
		l.say(path+".with", "%v", err)
	}
}

func (l *linter) policy(path string, p clusters.Policy) {
	if p.MTLS != "" {
		l.known(path+".mtls", "mTLS mode", string(p.MTLS), []string{string(clusters.Strict), string(clusters.Permissive)})
	}
	for i, r := range p.Allow {
		at := fmt.Sprintf("%s.allow[%d]", path, i)
		l.known(at+".to", "cast member", r.To, castNames())
		for _, f := range r.From {
			l.known(at+".from", "cast member", f, append(castNames(), "*"))
		}
	}
}

func (l *linter) mutants(s Scenario, ids []string) {
	names := []string{}
	for _, w := range clusters.Weakenings() {
		names = append(names, w.Name)
	}
	for i, m := range s.Mutants {
		path := fmt.Sprintf("$.mutants[%d]", i)
		for _, w := range m.Weaken {
			l.known(path+".weaken", "weakening", w, names)
		}
		for _, id := range m.Opens {
			l.known(path+".opens", "attempt", id, ids)
		}
		if len(m.Weaken) == 0 || len(m.Opens) == 0 {
			l.say(path, "a mutant weakens something and opens something")
		}
	}
}

func castNames() []string {
	var out []string
	for _, m := range clusters.Cast() {
		out = append(out, m.Name)
	}
	return out
}

func rotations() []string {
	return []string{
		string(clusters.RotateLeaf), string(clusters.RotateIssuer), string(clusters.AddRoot), string(clusters.UseRoot),
		string(clusters.DropRoot), string(clusters.StopRenewal), string(clusters.StartRenewal),
	}
}

func count(all ...bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}
