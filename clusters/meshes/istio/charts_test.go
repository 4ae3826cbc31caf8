package istio

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

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
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

func archived(t *testing.T, name, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	for file, text := range chartFiles(name, version) {
		if err := w.WriteHeader(&tar.Header{Name: name + "/" + file, Mode: 0o644, Size: int64(len(text))}); err != nil {
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

// store serves a chart repository with three versions of both charts. The
// digest of one is wrong.
func store(t *testing.T, wrong string) string {
	t.Helper()
	mux := http.NewServeMux()
	index := "apiVersion: v1\nentries:\n"
	for _, name := range []string{chartKinds, chartPilot} {
		index += "  " + name + ":\n"
		for _, version := range []string{"1.30.2", "1.31.1", "1.32.0-alpha.1"} {
			raw := archived(t, name, version)
			sum := sha256.Sum256(raw)
			digest := hex.EncodeToString(sum[:])
			if name+version == wrong {
				digest = strings.Repeat("0", 64)
			}
			path := fmt.Sprintf("archives/%s-%s.tgz", name, version)
			index += fmt.Sprintf("  - version: %s\n    digest: %s\n    urls: [%s]\n", version, digest, path)
			mux.HandleFunc("/charts/"+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) })
		}
	}
	mux.HandleFunc("/charts/index.yaml", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(index)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/charts"
}

func TestChartsComeFromARepositoryInTheVersionThatIsAskedFor(t *testing.T) {
	at := store(t, "")
	for asked, want := range map[string]string{"": "1.31.1", "1.30.2": "1.30.2", "v1.32.0-alpha.1": "1.32.0-alpha.1"} {
		c, err := findCharts(t.Context(), meshes.Release{Charts: at, Version: asked})
		if err != nil {
			t.Fatalf("%q: %v", asked, err)
		}
		if c.kinds.Metadata.Version != want || c.pilot.Metadata.Version != want || c.pilot.Name() != chartPilot {
			t.Errorf("%q gave %s %s and %s", asked, c.pilot.Name(), c.pilot.Metadata.Version, c.kinds.Metadata.Version)
		}
	}
}

func TestAChartThatIsNotAsTheIndexSaysIsAnError(t *testing.T) {
	at := store(t, chartKinds+"1.31.1")
	for _, c := range []struct{ charts, version, want string }{
		{at, "1.31.1", "digest"},
		{at, "1.29.0", "no version 1.29.0"},
		{at + "/nowhere", "", "404"},
		{"http://127.0.0.1:1/charts", "", "refused"},
		{t.TempDir(), "", "no chart base"},
	} {
		_, err := findCharts(t.Context(), meshes.Release{Charts: c.charts, Version: c.version})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v, want %q in it", c.charts, c.version, err, c.want)
		}
	}
}

func TestChartsOfAFolderAreRenderedInTheOrderOfTheirMaking(t *testing.T) {
	folder := t.TempDir()
	for dir, name := range map[string]string{"base": chartKinds, "istio-control/istio-discovery": chartPilot} {
		for file, text := range chartFiles(name, "1.0.0") {
			path := filepath.Join(folder, dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	c, err := findCharts(t.Context(), meshes.Release{Charts: folder})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := renderChart(t.Context(), c.pilot, "here", map[string]any{"who": "somebody"})
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
}

// pinned are the charts that come with meshbreach.
func pinned(t *testing.T) charts {
	t.Helper()
	if _, err := programs.Find(t.Context(), FileCharts, programs.Options{}); err != nil {
		t.Skipf("NOT TESTED with Istio's own charts: %v", err)
	}
	c, err := findCharts(t.Context(), meshes.Release{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// controlPlane is a range's control plane, rendered.
func controlPlane(t *testing.T, c charts, name string, pl plan) []kubeapi.Object {
	t.Helper()
	p := &podRuntime{cluster: &cluster{charts: c, issuer: "https://issuer.test"}, r: clusters.Range{Name: name, TrustDomain: name + ".test"}}
	p.hub, p.tag = images(meshes.Release{}, c)
	objects, err := newPodPilot(p).render(t.Context(), pl, 1)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestControlPlanesOfTwoRangesShareNothing(t *testing.T) {
	c := pinned(t)
	seen := map[string]bool{}
	for _, o := range controlPlane(t, c, "mb-a-r1", plan{}) {
		seen[o.Text()] = true
	}
	if len(seen) < 10 {
		t.Fatalf("only %d objects", len(seen))
	}
	for _, o := range controlPlane(t, c, "mb-a-r2", plan{}) {
		if seen[o.Text()] {
			t.Errorf("both have %s", o.Text())
		}
	}
}

// deploymentOf finds what runs istiod.
func deploymentOf(t *testing.T, objects []kubeapi.Object) string {
	t.Helper()
	for _, o := range objects {
		if o["kind"] == "Deployment" {
			return fmt.Sprint(map[string]any(o))
		}
	}
	t.Fatal("no deployment")
	return ""
}

func TestAnotherPlanMakesOtherPodsAndTheSameOneDoesNot(t *testing.T) {
	c := pinned(t)
	ca, err := identity.NewCA("one.test", identity.CAOptions{})
	if err != nil {
		t.Fatal(err)
	}
	planned := func() plan {
		keys, err := ca.Signing()
		if err != nil {
			t.Fatal(err)
		}
		return plan{keys: keys}
	}
	first := deploymentOf(t, controlPlane(t, c, "mb-a-r1", planned()))
	if again := deploymentOf(t, controlPlane(t, c, "mb-a-r1", planned())); again != first {
		t.Error("the same plan makes other pods")
	}
	for _, secret := range []string{string(planned().keys.Key), "PRIVATE KEY"} {
		if strings.Contains(first, secret) {
			t.Error("the deployment tells the key")
		}
	}
	long := planned()
	long.issuance.LongLives = true
	shown := planned()
	shown.exposure.AnyDebug = true
	if err := ca.Rotate(identity.RotateIssuer); err != nil {
		t.Fatal(err)
	}
	for name, pl := range map[string]plan{"another key": planned(), "longer lives": long, "more shown": shown} {
		if deploymentOf(t, controlPlane(t, c, "mb-a-r1", pl)) == first {
			t.Errorf("%s: the same pods", name)
		}
	}
	if kinds, err := renderChart(t.Context(), c.kinds, "x", map[string]any{"defaultRevision": ""}); err != nil || len(kinds) < 10 || kinds[0]["kind"] != "CustomResourceDefinition" {
		t.Errorf("%d kinds, %v", len(kinds), err)
	}
}

func TestImagesOfChartsThatNameNoneAreThePublishedOnes(t *testing.T) {
	c := pinned(t)
	for _, one := range []struct{ hub, tag, want string }{
		{"", "", publicHub + " " + publicTag},
		{"localhost/istio/", "1.31", "localhost/istio 1.31"},
		{"", "1.30.0", publicHub + " 1.30.0"},
	} {
		hub, tag := images(meshes.Release{Hub: one.hub, Tag: one.tag}, c)
		if hub+" "+tag != one.want {
			t.Errorf("%q %q: %s %s, want %s", one.hub, one.tag, hub, tag, one.want)
		}
	}
}
