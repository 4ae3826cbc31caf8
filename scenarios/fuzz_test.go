package scenarios

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// Whatever is in a file, reading it ends, and what is wrong has a place in it.
func FuzzDecode(f *testing.F) {
	err := fs.WalkDir(files, "catalog", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".yaml" {
			return err
		}
		data, err := files.ReadFile(name)
		f.Add(data)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(wellMade))
	for _, seed := range []string{
		"", "---\n---\n", "id: &a [*a]\n", "attempts: [{}]", "attempts: [{with: {a: {b: null}}}]", "expect: *x", "<<: {id: a}",
		"id: \x00", "? a\n: b", "- !!binary x", "attempts: [{id: a, attack: http-request, with: &w {port: *w}}]",
		"attempts: [{id: a, expect: {none: 1, envoy: []}}]", "window: {budget: 1e9}", "cast: [", "\t", "a: |\n  b", "\xff\xfe",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := testRules().Decode("f", data)
		if err == nil {
			return
		}
		for _, one := range each(err) {
			var p *Problem
			if !errors.As(one, &p) || p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without a place: %v", one)
			}
		}
	})
}

func each(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
