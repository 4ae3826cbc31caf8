package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

const module = "github.com/meshbreach/meshbreach"

// FileSchema is the JSON Schema of a scenario file, draft 2020-12, for editors.
// It knows the parameters of every attack; what only lint can tell, such as
// that a name is one of the attempts, is not in it. Sources are Go files,
// relative to the working folder, which has to be the module's root; their
// comments become descriptions.
func FileSchema(sources ...string) ([]byte, error) {
	r := reflector()
	r.ExpandedStruct = true
	params := reflector()
	params.RequiredFromJSONSchemaTags = true // zero parameters have a meaning
	for _, file := range sources {
		for _, into := range []*jsonschema.Reflector{r, params} {
			if err := into.AddGoComments(module, file); err != nil {
				return nil, fmt.Errorf("read comments of %s: %w", file, err)
			}
		}
	}
	s := r.Reflect(Scenario{})
	s.ID = "https://" + module + "/schema/scenario/v1"
	s.Title = "A scenario of meshbreach"
	names(s)
	for _, a := range attacks.Catalog() {
		takes(s, params, a)
	}
	for name, d := range maps.Clone(s.Definitions) {
		if strings.HasPrefix(name, "attacks.") || strings.HasPrefix(name, "attacker.") {
			for _, field := range filled() {
				d.Properties.Delete(field)
			}
			s.Definitions[name+patch] = patched(d)
		}
	}
	oneLine(s)
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of scenarios: %w", err)
	}
	return append(b, '\n'), nil
}

func reflector() *jsonschema.Reflector {
	return &jsonschema.Reflector{Anonymous: true, Mapper: written, Namer: func(t reflect.Type) string {
		if t.PkgPath() == reflect.TypeFor[Scenario]().PkgPath() || t.PkgPath() == "" {
			return t.Name()
		}
		return path.Base(t.PkgPath()) + "." + t.Name()
	}}
}

// written maps types that read themselves, which reflection cannot see into.
func written(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[attacker.Duration](), reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case reflect.TypeFor[policy.MTLS]():
		return words(policy.Strict, policy.Permissive)
	case reflect.TypeFor[identity.Rotation]():
		return words(rotations()...)
	}
	return nil
}

func words[T ~string](all ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, w := range all {
		s.Enum = append(s.Enum, string(w))
	}
	return s
}

// JSONSchema is what UnmarshalYAML takes: a word or one of the forms.
func (Expect) JSONSchema() *jsonschema.Schema {
	in := &jsonschema.Reflector{Anonymous: true, DoNotReference: true, RequiredFromJSONSchemaTags: true, Mapper: written}
	forms := in.Reflect(expectForms{})
	forms.Version, forms.ID = "", ""
	one := uint64(1)
	forms.MinProperties, forms.MaxProperties = &one, &one
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{words(assertions.Breached, assertions.Undisturbed), forms}}
}

// names puts closed lists of names where a text may be only one of them.
func names(s *jsonschema.Schema) {
	cast := words(CastNames()...).Enum
	for _, field := range []string{"friend", "foe", "target"} {
		property(s, "Parts", field).Enum = cast
	}
	property(s, "Attempt", "from").Enum = cast
	for _, w := range policy.Misconfigurations() {
		items := property(s, "Mutant", "misconfigure").Items
		items.Enum = append(items.Enum, w.Name)
	}
}

func property(s *jsonschema.Schema, definition, field string) *jsonschema.Schema {
	p, ok := s.Definitions[definition].Properties.Get(field)
	if !ok {
		return &jsonschema.Schema{} // a field that is gone needs no names
	}
	return p
}

// patch ends the names of definitions in which null takes a field away.
const patch = ".patch"

// takes says which parameters an attack takes, wherever it is used.
func takes(s *jsonschema.Schema, r *jsonschema.Reflector, a attacker.Attack) {
	p := r.Reflect(a.Example())
	for name, d := range p.Definitions {
		s.Definitions[name] = d
	}
	s.Definitions[path.Base(p.Ref)].Description = a.Title() + ". " + a.Doc()
	if other, ok := s.Properties.Get("twinAttack"); ok {
		other.Enum = append(other.Enum, a.Name())
		s.AllOf = append(s.AllOf, where("twinAttack", a.Name(), "", "twin", p.Ref))
	}
	for _, user := range []string{"Attempt", "Call"} {
		attack := property(s, user, "attack")
		attack.Enum = append(attack.Enum, a.Name())
		d := s.Definitions[user]
		d.AllOf = append(d.AllOf, where("attack", a.Name(), "", "with", p.Ref))
		if user == "Attempt" {
			other := property(s, user, "twinAttack")
			other.Enum = append(other.Enum, a.Name())
			d.AllOf = append(d.AllOf, where("attack", a.Name(), "twinAttack", "twin", p.Ref+patch), where("twinAttack", a.Name(), "", "twin", p.Ref))
		}
	}
}

// where says what a field is like when another one has this value and a third,
// if there is one, is left out.
func where(field, value, without, is, ref string) *jsonschema.Schema {
	when, then := jsonschema.NewProperties(), jsonschema.NewProperties()
	when.Set(field, &jsonschema.Schema{Const: value})
	then.Set(is, &jsonschema.Schema{Ref: ref})
	out := &jsonschema.Schema{If: &jsonschema.Schema{Properties: when, Required: []string{field}}, Then: &jsonschema.Schema{Properties: then}}
	if without != "" {
		out.If.Not = &jsonschema.Schema{Required: []string{without}}
	}
	return out
}

// patched is a definition of which any part may be null.
func patched(d *jsonschema.Schema) *jsonschema.Schema {
	out := *d
	out.Properties, out.Required = jsonschema.NewProperties(), nil
	for p := d.Properties.Oldest(); p != nil; p = p.Next() {
		value := *p.Value
		if value.Ref != "" {
			value.Ref += patch
		}
		out.Properties.Set(p.Key, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{&value, {Type: "null"}}})
	}
	return &out
}

// oneLine takes the line breaks of the sources out of descriptions.
func oneLine(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Description = strings.Join(strings.Fields(s.Description), " ")
	for _, d := range s.Definitions {
		oneLine(d)
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			oneLine(p.Value)
		}
	}
	for _, sub := range append(s.AnyOf, s.Items) {
		oneLine(sub)
	}
}
