package programs

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/tools/txtar"
)

// proxied serves a module from a folder and returns a program that needs it,
// with the sums that the go command would write.
func proxied(t *testing.T) (archive, sum string) {
	t.Helper()
	const gomod = "module meshbreach.invalid/dep\n\ngo 1.26.0\n"
	dir := t.TempDir()
	at := filepath.Join(dir, "meshbreach.invalid", "dep", "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range map[string]string{"go.mod": gomod, "dep.go": "package dep\n\nconst Version = \"1.2.3\"\n"} {
		w, err := z.Create("meshbreach.invalid/dep@v1.0.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"v1.0.0.mod": gomod, "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.zip": b.String()} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zipped, err := dirhash.HashZip(filepath.Join(at, "v1.0.0.zip"), dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(gomod)), nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "file://"+dir)
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Cleanup(func() { _ = exec.Command("go", "clean", "-modcache").Run() })
	archive = strings.Replace(tinySource, "go 1.26.0\n", "go 1.26.0\n\nrequire meshbreach.invalid/dep v1.0.0\n", 1)
	archive = strings.Replace(archive, `import "os"`, "import (\n\t\"os\"\n\n\t\"meshbreach.invalid/dep\"\n)", 1)
	archive = strings.Replace(archive, `"tiny v1.2.3 "`, `"tiny v" + dep.Version + " "`, 1)
	return archive, "meshbreach.invalid/dep v1.0.0 " + zipped + "\nmeshbreach.invalid/dep v1.0.0/go.mod " + mod + "\n"
}

func TestAModuleWithAnotherSumIsRefused(t *testing.T) {
	cache := workshop(t)
	archive, sum := proxied(t)
	// What the user has set must not let in what is not pinned.
	t.Setenv("GOFLAGS", "-mod=mod")
	other := regexp.MustCompile(`(?m)(v1\.0\.0 h1:).{4}`).ReplaceAllString(sum, "${1}AAAA")
	for name, c := range map[string]struct{ sum, want string }{
		"another": {other, "checksum mismatch"}, "none": {"", "missing go.sum entry"},
	} {
		var notes notebook
		_, err := tiny(archive+"-- go.sum --\n"+c.sum).find(t.Context(), Options{Get: true, Note: notes.note})
		if err == nil || !notes.has(c.want) {
			t.Errorf("%s: %v, said %q", name, err, notes.lines)
		}
		if got := holds(t, cache); len(got) != 0 {
			t.Errorf("%s: left behind: %q", name, got)
		}
	}
	if _, err := tiny(archive+"-- go.sum --\n"+sum).find(t.Context(), Options{Get: true}); err != nil {
		t.Errorf("the pinned one: %v", err)
	}
}

func TestAMissingGoIsSaidSo(t *testing.T) {
	lab(t)
	_, err := tiny(tinySource).find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "the go command is not on PATH") || !strings.Contains(err.Error(), "install tinies 1.2.3") {
		t.Errorf("got %v", err)
	}
	if _, err := tiny(tinySource).find(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "build (not allowed)") {
		t.Errorf("not allowed: %v", err)
	}
}

func TestAnotherContentHasAnotherKey(t *testing.T) {
	base := tiny(tinySource).source.(module)
	seen := map[string]string{}
	for name, change := range map[string]func(*module){
		"nothing": func(*module) {}, "sum": func(m *module) { m.archive = append(bytes.Clone(m.archive), "-- go.sum --\nx\n"...) },
		"tags": func(m *module) { m.tags = "x" }, "linker": func(m *module) { m.ldflags = "-X a=b" },
		"file": func(m *module) { m.files = nil }, "program": func(m *module) { m.programs = m.programs[:1] },
	} {
		m := base
		change(&m)
		key, err := m.key()
		if err != nil || !strings.HasPrefix(key, "1.2.3-") || seen[key] != "" {
			t.Errorf("%s: %q %v, as %s", name, key, err, seen[key])
		}
		seen[key] = name
	}
}

func TestModulesPinWhatTheyAreCalled(t *testing.T) {
	for pin, m := range map[string]module{
		"github.com/hashicorp/consul v" + consulVersion: consul(), "go.etcd.io/etcd/server/v3 v" + etcdVersion: etcd(),
		"k8s.io/kubernetes v" + kubernetesVersion: kubernetes(), "istio.io/istio v0.0.0-": istio(),
	} {
		text, err := m.text()
		if err != nil {
			t.Fatal(err)
		}
		a := txtar.Parse(text)
		if len(a.Files) != 2 || a.Files[0].Name != "go.mod" || a.Files[1].Name != "go.sum" {
			t.Fatalf("%s: %d files", m.family, len(a.Files))
		}
		for _, f := range a.Files {
			if !bytes.Contains(f.Data, []byte(pin)) {
				t.Errorf("%s: %s has no %s", m.family, f.Name, pin)
			}
		}
		if m.family == "istio" && !bytes.Contains(a.Files[0].Data, []byte(istioRevision)) {
			t.Errorf("istio is not at %s", istioRevision)
		}
	}
}
