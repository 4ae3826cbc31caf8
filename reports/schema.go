package reports

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"time"

	"github.com/invopop/jsonschema"
)

// JSONSchema is the JSON Schema of a run, draft 2020-12, indented. Fields named
// record have the type of record; nil leaves them open. Unknown fields are errors,
// so the schema fits reports of the same version of meshbreach only.
func JSONSchema(record any) ([]byte, error) {
	r := &jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, Namer: definitionName}
	recordSchema := &jsonschema.Schema{}
	definitions := jsonschema.Definitions{}
	if record != nil {
		in := &jsonschema.Reflector{Anonymous: true, Namer: definitionName, Mapper: marshalled}
		s := in.Reflect(record)
		definitions = s.Definitions
		for _, d := range definitions {
			nullable(d)
		}
		recordSchema = &jsonschema.Schema{Ref: s.Ref}
	}
	r.Mapper = func(t reflect.Type) *jsonschema.Schema {
		if t == reflect.TypeFor[json.RawMessage]() {
			return recordSchema
		}
		return nil
	}
	s := r.Reflect(Run{})
	s.ID = "https://github.com/meshbreach/meshbreach/schema/report/v1"
	s.Title = "The record of a run of meshbreach"
	for name, d := range definitions {
		s.Definitions[name] = d
	}
	words(s)
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of the report: %w", err)
	}
	return append(b, '\n'), nil
}

// definitionName keeps equal names of different packages apart.
func definitionName(t reflect.Type) string {
	if t.PkgPath() == reflect.TypeFor[Run]().PkgPath() || t.PkgPath() == "" {
		return t.Name()
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

// marshalled maps types with their own encoding, which reflection cannot see.
func marshalled(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return &jsonschema.Schema{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

// nullable lets lists, maps and bytes be null, because Go writes nil ones so.
func nullable(d *jsonschema.Schema) {
	if d.Properties == nil {
		return
	}
	for p := d.Properties.Oldest(); p != nil; p = p.Next() {
		if p.Value.Type == "array" || p.Value.Type == "object" || p.Value.Ref != "" {
			p.Value = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{p.Value, {Type: "null"}}}
		}
	}
}

// words sets the enums of fields that have a fixed list of words.
func words(s *jsonschema.Schema) {
	set := func(properties *jsonschema.Schema, field string, words ...string) {
		p, ok := properties.Properties.Get(field)
		if !ok {
			return
		}
		for _, w := range words {
			p.Enum = append(p.Enum, w)
		}
	}
	set(s, "schema", Schema)
	set(s.Definitions["Scenario"], "pillar", "policy", "rotation", "detection")
	set(s.Definitions["Scenario"], "severity", "low", "medium", "high", "critical")
	set(s.Definitions["Scenario"], "outcome", outcomes()...)
	set(s.Definitions["Attempt"], "outcome", outcomes()...)
	set(s.Definitions["Attempt"], "verdict", verdicts()...)
	set(s.Definitions["Trial"], "verdict", verdicts()...)
}
