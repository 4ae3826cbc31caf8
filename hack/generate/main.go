// Command generate writes the files that are made from others: the schemas, the
// pages of the catalogue and of the meshes, and the copies of the roles and of
// the admission policies. It runs in the module's root. Its test finds stale
// ones.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/clusters/platform/admission"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/explain"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// catalogue is where the catalogue's pages are; nothing else is.
const catalogue = "docs/catalog"

func main() {
	changed, err := write()
	for _, name := range changed {
		fmt.Println("wrote", name)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// write brings everything up to date and names what it changed.
func write() (changed []string, err error) {
	want, err := generated()
	if err != nil {
		return nil, err
	}
	stale, err := stale(want)
	if err != nil {
		return nil, err
	}
	for _, name := range stale {
		content, wanted := want[name]
		if !wanted {
			err = os.Remove(name)
		} else if err = os.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			err = os.WriteFile(name, content, 0o644)
		}
		if err != nil {
			return changed, fmt.Errorf("bring %s up to date: %w", name, err)
		}
		changed = append(changed, name)
	}
	return changed, nil
}

// generated is everything that is generated, by path.
func generated() (map[string][]byte, error) {
	report, err := reports.JSONSchema(runner.RecordType())
	if err != nil {
		return nil, err
	}
	sources, err := sources()
	if err != nil {
		return nil, err
	}
	file, err := scenarios.FileSchema(sources...)
	if err != nil {
		return nil, err
	}
	openings, err := openings()
	if err != nil {
		return nil, err
	}
	pages, err := explain.Pages(openings)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{
		"docs/report.schema.json": report, "scenarios/schema.json": file,
		"docs/meshes.md": meshPage(), "docs/existing/clusterrole.yaml": builtin.Roles(),
	}
	for name, page := range pages {
		out[filepath.Join(catalogue, name)] = page
	}
	policies, err := fs.Glob(admission.Files, "*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range policies {
		if out[filepath.Join("docs/admission", name)], err = admission.Files.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sources are the Go files whose comments describe the fields of a scenario.
func sources() ([]string, error) {
	var out []string
	for _, folder := range []string{"attacker", "attacker/attacks", "assertions", "clusters", "clusters/policy", "clusters/identity", "scenarios"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				out = append(out, f)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no sources here: generate runs in the module's root")
	}
	return out, nil
}

// openings are the golden tables of what each misconfiguration opens, by mesh.
func openings() (map[string]string, error) {
	tables, err := filepath.Glob("scenarios/runner/testdata/openings-*.txt")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		mesh := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "openings-"), ".txt")
		out[mesh] = string(b)
	}
	return out, nil
}

// stale names the files that are not as wanted: old, missing, or pages of what
// is no more.
func stale(want map[string][]byte) ([]string, error) {
	var out []string
	for name, content := range want {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(b, content) {
			out = append(out, name)
		}
	}
	err := filepath.WalkDir(catalogue, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && !slices.Contains(slices.Collect(maps.Keys(want)), name) {
			out = append(out, name)
		}
		return err
	})
	slices.Sort(out)
	return out, err
}
