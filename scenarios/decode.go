package scenarios

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/suggest"
)

// A Problem is something wrong in a scenario file, at a place.
type Problem struct {
	File         string
	Line, Column int
	Text         string
}

// Error is "file:line:column: text".
func (p *Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Rules are what the linter is told of what scenarios may name. The zero value
// knows no mesh, and the attacks and detectors that come with meshbreach.
type Rules struct {
	Meshes []string // names; a misspelt one is an error
	// Reference are the meshes of which every attempt says what it expects.
	Reference []string
	Attacks   []attacker.Attack    // those that come with meshbreach when nil
	Detectors []detectors.Detector // likewise
}

// attacks are those that may be named.
func (r Rules) attacks() []attacker.Attack {
	if r.Attacks == nil {
		return Attacks()
	}
	return r.Attacks
}

// attack finds an attack by name.
func (r Rules) attack(name string) (attacker.Attack, bool) {
	for _, a := range r.attacks() {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}

// attackNames are for suggestions.
func (r Rules) attackNames() []string {
	var out []string
	for _, a := range r.attacks() {
		out = append(out, a.Name())
	}
	return out
}

// alerts are the names of what a detector can raise.
func (r Rules) alerts() []string {
	if r.Detectors == nil {
		return detectors.Names(Detectors())
	}
	return detectors.Names(r.Detectors)
}

// Decode reads a scenario strictly and lints it. The error joins a *Problem
// for everything that is wrong, in the order of the file.
func (r Rules) Decode(file string, data []byte) (Scenario, error) {
	var s Scenario
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return s, problem(file, err)
	}
	if len(tree.Docs) > 1 {
		return s, &Problem{file, 1, 1, fmt.Sprintf("a scenario file holds one document, not %d", len(tree.Docs))}
	}
	if empty(tree) {
		return s, &Problem{file, 1, 1, "the file is empty; it should hold a scenario"}
	}
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict(), yaml.UseJSONUnmarshaler())
	if err := d.Decode(&s); err != nil {
		return s, problem(file, err)
	}
	l := &linter{rules: r, file: file, places: placesOf(tree.Docs[0])}
	l.scenario(s)
	return s, joined(l.found)
}

func empty(tree *ast.File) bool {
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return true
	}
	kind := tree.Docs[0].Body.Type()
	return kind == ast.NullType || kind == ast.CommentType
}

// joined sorts problems by place. A value that several attempts share is
// looked at by each of them, and what is wrong with it is said once.
func joined(found []*Problem) error {
	slices.SortStableFunc(found, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var errs []error
	for i, p := range found {
		if !slices.ContainsFunc(found[:i], func(q *Problem) bool { return *p == *q }) {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// problem gives a decoder's error its place, and a suggestion where a field is
// not known.
func problem(file string, err error) error {
	p := &Problem{File: file, Line: 1, Column: 1, Text: firstLine(err.Error())}
	var ye yaml.Error
	if errors.As(err, &ye) {
		p.Text = ye.GetMessage()
		if t := ye.GetToken(); t != nil && t.Position != nil {
			p.Line, p.Column = t.Position.Line, t.Position.Column
		}
	}
	var mistyped *yaml.TypeError
	if errors.As(err, &mistyped) && mistyped.SrcType != nil {
		p.Text = fmt.Sprintf("here should be %s, not %s", article(mistyped.DstType), article(mistyped.SrcType))
	}
	if m := regexp.MustCompile(`unknown field "([^"]+)"`).FindStringSubmatch(p.Text); m != nil {
		p.Text += suggest.Text(m[1], fields())
	}
	return p
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// fields are all names that a scenario file can hold.
func fields() []string {
	var out []string
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] {
			return
		}
		seen[t] = true
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" {
				out = append(out, name)
			}
			walk(t.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Scenario]())
	walk(reflect.TypeFor[expectForms]())
	slices.Sort(out)
	return slices.Compact(out)
}
