package scenarios

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/suggest"
)

//go:embed catalog
var files embed.FS

// Catalog is every embedded scenario, by id.
func Catalog() ([]Scenario, error) {
	var out []Scenario
	err := fs.WalkDir(files, "catalog", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := Rules{}.Decode(name, data)
		if err != nil {
			return err
		}
		if want := strings.TrimSuffix(strings.TrimPrefix(name, "catalog/"), ".yaml"); s.ID != want {
			return &Problem{name, 1, 1, fmt.Sprintf("the id is %q, by its path it should be %q", s.ID, want)}
		}
		out = append(out, s)
		return nil
	})
	slices.SortFunc(out, func(a, b Scenario) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// Select picks scenarios by id, alias, glob (certs/*) or family (certs).
// Nothing named selects all; a name that fits none is an error.
func Select(all []Scenario, names []string) ([]Scenario, error) {
	if len(names) == 0 {
		return all, nil
	}
	taken := map[string]bool{}
	for _, name := range names {
		hit := false
		for _, s := range all {
			if s.named(name) {
				taken[s.ID], hit = true, true
			}
		}
		if !hit {
			var known []string
			for _, s := range all {
				known = append(known, s.ID, path.Dir(s.ID))
			}
			return nil, fmt.Errorf("no scenario %q%s; meshbreach list shows them all", name, suggest.Text(name, known))
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s Scenario) bool { return !taken[s.ID] }), nil
}

func (s Scenario) named(name string) bool {
	glob, _ := path.Match(name, s.ID)
	return glob || name == s.ID || name == path.Dir(s.ID) || slices.Contains(s.Aliases, name)
}
