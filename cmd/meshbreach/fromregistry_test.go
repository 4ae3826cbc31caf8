package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/reports"
)

// The release that the test's own registry and chart repository have.
const ownRelease = "1.31.77"

// docker is a command of the container engine.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// A counter counts which manifests are asked of a registry, by path. An engine
// that has all the layers asks for no more than what a name stands for.
type counter struct {
	http.Handler
	mu   sync.Mutex
	seen map[string]int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.URL.Path, "/manifests/") {
		c.mu.Lock()
		c.seen[r.URL.Path]++
		c.mu.Unlock()
	}
	c.Handler.ServeHTTP(w, r)
}

// pushed puts an image of the engine into a registry under another name, and
// lets the engine forget that name.
func pushed(t *testing.T, image, as string) string {
	t.Helper()
	t.Cleanup(func() { // also what the run pulled
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "rmi", as).Run()
	})
	docker(t, "tag", image, as)
	docker(t, "push", "--quiet", as)
	docker(t, "rmi", as)
	return as
}

// chartRepository serves the pinned charts of Istio as a chart repository does.
func chartRepository(t *testing.T) string {
	t.Helper()
	found, err := programs.Find(t.Context(), "istio-charts", programs.Options{})
	if err != nil {
		t.Skip(err)
	}
	mux := http.NewServeMux()
	index := "apiVersion: v1\nentries:\n"
	for name, folder := range map[string]string{"base": "base", "istiod": "istio-discovery"} {
		raw := repacked(t, found.Path, folder, name)
		sum := sha256.Sum256(raw)
		path := name + "-" + ownRelease + ".tgz"
		index += fmt.Sprintf("  %s:\n  - {version: %q, digest: %s, urls: [%s]}\n", name, ownRelease, hex.EncodeToString(sum[:]), path)
		mux.HandleFunc("/"+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) })
	}
	mux.HandleFunc("/index.yaml", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, index) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// repacked is one folder of a gzipped tar as a chart's archive.
func repacked(t *testing.T, archive, folder, name string) []byte {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unzip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	from, into := tar.NewReader(unzip), tar.NewWriter(zip)
	for {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, in := strings.Cut("/"+h.Name, "/"+folder+"/")
		if !in || h.Typeflag != tar.TypeReg {
			continue
		}
		h.Name = name + "/" + rest
		if err := into.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(into, from); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(into.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The images of the node and of the mesh come from a registry, and the charts
// from a chart repository: as for whoever reaches them, or has some of their own.
func TestAReleaseComesFromARegistryAndAChartRepository(t *testing.T) {
	if testing.Short() || !engine(t) {
		t.Skip("takes a container engine that has an image of a node, and minutes")
	}
	node := strings.Fields(docker(t, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "kindest/node"))[0]
	mesh := strings.Fields(docker(t, "image", "ls", "--format", "{{.Tag}}", "localhost/istio/pilot"))
	if len(mesh) == 0 {
		t.Skip("takes images of Istio in the engine, to put into a registry")
	}
	charts := chartRepository(t)
	blobs := registry.WithBlobHandler(registry.NewDiskBlobHandler(t.TempDir()))
	asked := &counter{Handler: registry.New(blobs, registry.Logger(log.New(io.Discard, "", 0))), seen: map[string]int{}}
	s := httptest.NewServer(asked)
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	own := pushed(t, node, host+"/kindest/node:v1.36.99")
	for _, part := range []string{"pilot", "proxyv2"} {
		pushed(t, "localhost/istio/"+part+":"+mesh[0], host+"/hub/"+part+":"+ownRelease)
	}
	asked.mu.Lock()
	clear(asked.seen) // what pushing asked for
	asked.mu.Unlock()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	run := exec.CommandContext(ctx, "meshbreach", "run", "--provider", "kind", "--mesh", "istio", "--parallel", "1",
		"--node-image", own, "--registry", host+"/hub", "--mesh-version", ownRelease, "--charts", charts,
		"--probe", os.Getenv(probeVariable), "--report-dir", dir, "lateral/unauth-service", "certs/expired-leaf")
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, image := range []string{"kindest/node", "hub/pilot", "hub/proxyv2"} {
		found := false
		for path := range asked.seen {
			found = found || strings.HasPrefix(path, "/v2/"+image+"/")
		}
		if !found {
			t.Errorf("nobody pulled %s; asked for were %v", image, asked.seen)
		}
	}
	stored, err := reports.Read(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if stored.Release != ownRelease || !strings.Contains(stored.Proxy, host+"/hub/proxyv2:"+ownRelease) || stored.Totals.Outcomes["pass"] != 2 {
		t.Errorf("release %s, proxy %q, outcomes %v\n%s", stored.Release, stored.Proxy, stored.Totals.Outcomes, out)
	}
}
