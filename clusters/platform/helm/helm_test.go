package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// chartFiles are a chart that says which version it is of.
func chartFiles(name, version string) map[string]string {
	return map[string]string{
		"Chart.yaml":             "apiVersion: v2\nname: " + name + "\nversion: " + version + "\n",
		"values.yaml":            "who: nobody\n",
		"templates/NOTES.txt":    "for people",
		"templates/_helpers.tpl": "{{- define \"x\" }}y{{ end }}",
		"templates/b.yaml":       "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: {{ .Release.Namespace }}}\n",
		"templates/a.yaml":       "{{ if .Values.who }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.who }}, namespace: x}\n---\n# nothing\n{{ end }}",
	}
}

func archived(t *testing.T, folder, name, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for file, text := range chartFiles(name, version) {
		if err := w.WriteHeader(&tar.Header{Name: folder + "/" + file, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// store serves a chart repository with three versions of two charts. The digest
// of one archive is as given; the others' are right.
func store(t *testing.T, odd, digestOfOdd string) string {
	t.Helper()
	mux := http.NewServeMux()
	index := "apiVersion: v1\nentries:\n"
	for _, name := range []string{"base", "istiod"} {
		index += "  " + name + ":\n"
		for _, version := range []string{"1.30.2", "1.31.1", "1.32.0-alpha.1"} {
			raw := archived(t, name, name, version)
			sum := sha256.Sum256(raw)
			digest := hex.EncodeToString(sum[:])
			if name+version == odd {
				digest = digestOfOdd
			}
			path := fmt.Sprintf("archives/%s-%s.tgz", name, version)
			index += fmt.Sprintf("  - version: %s\n    digest: %q\n    urls: [%s]\n", version, digest, path)
			mux.HandleFunc("/charts/"+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) })
		}
	}
	mux.HandleFunc("/charts/index.yaml", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(index)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/charts"
}

func TestChartsComeFromARepositoryInTheVersionThatIsAskedFor(t *testing.T) {
	r := Repository{store(t, "", "")}
	for asked, want := range map[string]string{"": "1.31.1", "1.30.2": "1.30.2", "v1.32.0-alpha.1": "1.32.0-alpha.1"} {
		all, err := r.Charts(t.Context(), asked, "istiod", "base")
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		if all[0].Name() != "istiod" || all[0].Version() != want || all[1].Name() != "base" || all[1].Version() != want {
			t.Errorf("%q gave %s %s and %s %s", asked, all[0].Name(), all[0].Version(), all[1].Name(), all[1].Version())
		}
	}
}

// A chart that nothing vouches for installs a control plane with the rights of
// the cluster's administrator.
func TestAChartThatCannotBeCheckedIsAnError(t *testing.T) {
	wrong, none := store(t, "base1.31.1", strings.Repeat("0", 64)), store(t, "base1.31.1", "")
	for _, c := range []struct{ address, version, want string }{
		{wrong, "1.31.1", "chart base 1.31.1: " + wrong + "/archives/base-1.31.1.tgz has the digest"},
		{none, "1.31.1", "the index gives no digest, so the download cannot be checked"},
		{none, "1.29.0", "no version 1.29.0"},
		{none + "/nowhere", "", "404"},
		{"http://127.0.0.1:1/charts", "", "refused"},
	} {
		_, err := Repository{c.address}.Charts(t.Context(), c.version, "istiod", "base")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v, want %q in it", c.address, c.version, err, c.want)
		}
	}
	if all, err := (Repository{none}).Charts(t.Context(), "1.30.2", "istiod", "base"); err != nil || len(all) != 2 {
		t.Errorf("the versions with a digest: %v", err)
	}
}

func TestABundleIsReadOnlyWithThePinnedDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "charts.tgz")
	if err := os.WriteFile(path, archived(t, "bundle/x", "x", "1.0.0"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Bundle{Path: path}.Charts("x")
	if err == nil || !strings.Contains(err.Error(), "none is pinned") {
		t.Fatalf("without a digest: %v", err)
	}
	_, rest, _ := strings.Cut(err.Error(), "have the digest ")
	sum, _, _ := strings.Cut(rest, ",")
	all, err := Bundle{Path: path, Sum: sum}.Charts("x")
	if err != nil || len(all) != 1 || all[0].Version() != "1.0.0" {
		t.Errorf("with its own digest: %v %v", all, err)
	}
	if _, err := (Bundle{Path: path, Sum: sum + "x"}).Charts("x"); err == nil || !strings.Contains(err.Error(), "not the pinned") {
		t.Errorf("with another digest: %v", err)
	}
}

func TestAChartIsRenderedInTheOrderInWhichItsObjectsAreMade(t *testing.T) {
	folder := t.TempDir()
	for file, text := range chartFiles("istiod", "1.0.0") {
		path := filepath.Join(folder, "charts", "discovery", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Folder(folder, "istiod", "istiod", "charts/discovery")
	if err != nil {
		t.Fatal(err)
	}
	if who := c.Default("who"); who != "nobody" {
		t.Errorf("the default is %q", who)
	}
	objects, err := c.Render(t.Context(), "here", map[string]any{"who": "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		got = append(got, o.Text())
	}
	if want := []string{"ConfigMap x/somebody", "Deployment here/d"}; !slices.Equal(got, want) {
		t.Errorf("rendered %q, want %q", got, want)
	}
	if _, err := Folder(folder, "base", "base"); err == nil || !strings.Contains(err.Error(), "no chart base: looked at base") {
		t.Errorf("a folder without it: %v", err)
	}
}
