package main

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

// containerd are the pinned programs, where hack/offline was run before.
func containerd(t *testing.T) map[string]string {
	t.Helper()
	parts := map[string]string{}
	for _, name := range []string{"containerd", "ctr"} {
		path, err := programs.PinnedPath(name)
		if err != nil || !there(path) {
			t.Skipf("no pinned %s in the cache: hack/offline makes it", name)
		}
		parts[name] = path
	}
	return parts
}

func TestContainerdStoresAnImageWithItsLayers(t *testing.T) {
	parts := containerd(t)
	l, err := treeLayer(t.Context(), tree{file("etc/hello", 0o644, "hello")})
	if err != nil {
		t.Fatal(err)
	}
	all, err := images("sum", picture{ref: "example.test/hello:1", layers: []v1.Layer{l}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := store(t.Context(), parts, all, filepath.Join(dir, "store.tar")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "store.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := map[string]bool{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(h.Name, "var/") || h.Uid != 0 {
			t.Errorf("%s of user %d", h.Name, h.Uid)
		}
		found[filepath.Base(h.Name)] = true
	}
	if !found[l.digest.Hex] || !found["meta.db"] {
		t.Errorf("the layer or the database is not among %v", found)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestAContainerdThatDoesNotStartIsAnErrorWithItsLastWords(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "containerd")
	if err := os.WriteFile(bad, []byte("#!/bin/sh\necho no room >&2\nexit 1\n"), 0o700); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	err := store(t.Context(), map[string]string{"containerd": bad, "ctr": "false"}, nil, filepath.Join(t.TempDir(), "store.tar"))
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}

func TestACommandThatReadsNoImagesIsAnError(t *testing.T) {
	l, err := treeLayer(t.Context(), tree{file("etc/big", 0o644, strings.Repeat("x", 1<<20))})
	if err != nil {
		t.Fatal(err)
	}
	all, err := images("sum", picture{ref: "example.test/hello:1", layers: []v1.Layer{l}})
	if err != nil {
		t.Fatal(err)
	}
	err = feed(exec.CommandContext(t.Context(), "sh", "-c", "echo cannot read >&2; exit 3"), all)
	if err == nil || !strings.Contains(err.Error(), "cannot read") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := feed(exec.CommandContext(ctx, "cat"), all); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
