package scenarios

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// fileSchema is the published schema of scenario files.
func fileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate holds a scenario file against the schema.
func validate(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	var content any
	if err := yaml.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

func TestTheCatalogueKeepsToThePublishedSchema(t *testing.T) {
	s := fileSchema(t)
	seen := 0
	err := fs.WalkDir(files, "catalog", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		seen++
		if err := validate(t, s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Error("no file was held against it")
	}
	if err := validate(t, s, []byte(wellMade)); err != nil {
		t.Error(err)
	}
}

func TestThePublishedSchemaRefusesWhatLintRefuses(t *testing.T) {
	s := fileSchema(t)
	for _, c := range []struct{ old, new string }{
		{"severity: high", "severty: high"},
		{"pillar: policy", "pillar: polcy"},
		{"friend: web", "friend: wbe"},
		{"none: breached", "none: breeched"},
		{"none: breached", "none: {}"},
		{"{blocked: {by", "{blokced: {by"},
		{"layer: http", "layer: 7"},
		{"attack: http-request", "attack: http-reqest"},
		{"{request: POST", "{reqeust: POST"},
		{"expires: 5m", "exprise: 5m"},
		{"expires: 5m", "expires: soon"},
		{"expires: 5m", "held: secret"},
		{"    for: 10ms", "    forr: 10ms"},
		{"port: 8081", "prot: 8081"},
		{"allow-anybody", "allow-anybdoy"},
	} {
		text := strings.Replace(strings.Replace(wellMade, "    envoy:\n      blocked: {", "    envoy: {blocked: {", 1), "reason: denied}", "reason: denied}}", 1)
		if err := validate(t, s, []byte(text)); err != nil {
			t.Fatal(err)
		}
		wrong := strings.Replace(text, c.old, c.new, 1)
		if wrong == text {
			t.Fatalf("%q is not in the file", c.old)
		}
		if validate(t, s, []byte(wrong)) == nil {
			t.Errorf("with %q it is taken", c.new)
		}
	}
}

func TestATwinMayTakeFieldsAway(t *testing.T) {
	s := fileSchema(t)
	for _, twin := range []string{"{token: null}", "{token: {expires: null}}", "{port: null, request: GET /}"} {
		text := strings.Replace(wellMade, "  twin: &rates\n    request: GET /v1/rates\n    port: 8081\n", "  twin: "+twin+"\n", 1)
		text = strings.Replace(text, "  twin: *rates\n", "  twin: {}\n", 1)
		if err := validate(t, s, []byte(text)); err != nil {
			t.Errorf("twin %s: %v", twin, err)
		}
		if complaint := strings.TrimSpace(complaint(t, text)); complaint != "" {
			t.Errorf("twin %s: lint: %s", twin, complaint)
		}
	}
}
