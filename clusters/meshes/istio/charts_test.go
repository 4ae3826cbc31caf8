package istio

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// A bundle that somebody changed, in the cache for instance, installs nothing.
func TestAChangedBundleOfChartsIsAnError(t *testing.T) {
	found, err := programs.Find(t.Context(), FileCharts, programs.Options{})
	if err != nil {
		t.Skipf("NOT TESTED with Istio's own charts: %v", err)
	}
	changed := filepath.Join(t.TempDir(), "charts.tgz")
	repack(t, found.Path, changed)
	_, err = findCharts(t.Context(), meshes.Release{Programs: map[string]string{FileCharts: changed}})
	if err == nil || !strings.Contains(err.Error(), "not the pinned "+pinnedSum) {
		t.Errorf("error %v", err)
	}
}

// repack copies a gzipped tar and changes one byte of one file.
func repack(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unzip, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	changed := false
	for r := tar.NewReader(unzip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !changed && strings.HasSuffix(h.Name, "/templates/deployment.yaml") {
			text[len(text)-1], changed = '#', true
		}
		if err := errors.Join(w.WriteHeader(h), writeAll(w, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close(), os.WriteFile(to, out.Bytes(), 0o600)); err != nil || !changed {
		t.Fatal(changed, err)
	}
}

func writeAll(w io.Writer, text []byte) error {
	_, err := w.Write(text)
	return err
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
	if kinds, err := c.kinds.Render(t.Context(), "x", map[string]any{"defaultRevision": ""}); err != nil || len(kinds) < 10 || kinds[0]["kind"] != "CustomResourceDefinition" {
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
