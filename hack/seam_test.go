package hack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A mesh is one value, and so nobody names a mesh but its own folder and the one
// list. What else names one is here, with the reason.
func namesMeshes() map[string]string {
	return map[string]string{
		"clusters/builtin/builtin.go": "the list of meshes",
		"cmd/probe/main.go":           "the list of the protocols of certificate authorities",
		"clusters/programs/":          "the table of third-party programs: a program is called as its makers call it",
		"hack/airgap/":                "makes the images of one release without a registry",
	}
}

// namesEnvoy are the places where the program or the proxy Envoy is meant, which
// several meshes have, and not the mesh that is named after it.
func namesEnvoy() map[string]string {
	return map[string]string{
		"clusters/meshes/":           "the program of their proxies",
		"clusters/proxy/":            "asks an Envoy and reads its logs",
		"assertions/":                "the server header of an Envoy",
		"cmd/meshbreach/programs.go": "the flag --envoy, short for --program envoy=PATH",
		"cmd/meshbreach/place.go":    "the same flag",
	}
}

func excused(file string, lists ...map[string]string) bool {
	for _, list := range lists {
		for at := range list {
			if strings.HasPrefix(file, at) {
				return true
			}
		}
	}
	return false
}

func TestOnlyItsOwnFolderAndTheListNameAMesh(t *testing.T) {
	folders, err := filepath.Glob("../clusters/meshes/*/describe.go")
	if err != nil || len(folders) < 4 {
		t.Fatalf("%d meshes describe themselves, %v", len(folders), err)
	}
	var meshes []string
	for _, f := range folders {
		if name := filepath.Base(filepath.Dir(f)); name != "none" { // a usual word: only its import tells
			meshes = append(meshes, name)
		}
	}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		file := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != ".." || d.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, mesh := range meshes {
			if !strings.HasPrefix(file, "clusters/meshes/"+mesh+"/") {
				for _, said := range named(parsed, mesh) {
					if !excused(file, namesMeshes()) && (mesh != "envoy" || !excused(file, namesEnvoy())) {
						t.Errorf("%s names mesh %s: %s; ask its Descriptor", file, mesh, said)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// named is where a file names a mesh: a string that is its name or begins an
// address or a group with it, an import of its package, an identifier. Prose
// for people, which has spaces, may name what it likes. Of envoy only the very
// name counts, for proxies of other meshes are called so as well.
func named(f *ast.File, mesh string) []string {
	word := regexp.MustCompile(`(?i)(^|[^a-z])` + mesh + `([^a-z]|$)`)
	wire := "/clusters/meshes/" + mesh + "/wire"
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			path, _ := strconv.Unquote(n.Path.Value)
			if at := "/clusters/meshes/" + mesh; strings.HasSuffix(path, at) || strings.Contains(path, at+"/") && !strings.HasSuffix(path, wire) {
				out = append(out, "imports "+path)
			}
			return false
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if n.Kind != token.STRING || err != nil || strings.ContainsAny(text, " \n") {
				return true
			}
			if text == mesh || mesh != "envoy" && word.MatchString(text) {
				out = append(out, n.Value)
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == mesh {
				out = append(out, x.Name+"."+n.Sel.Name)
			}
		}
		return true
	})
	slices.Sort(out)
	return slices.Compact(out)
}
