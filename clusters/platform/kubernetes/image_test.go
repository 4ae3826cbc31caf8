package kubernetes_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// built is a program for Linux that needs nothing else, with the bytes at some
// offsets of its header changed.
func built(t *testing.T, header map[int]byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	probe := filepath.Join(dir, "probe")
	cmd := exec.Command("go", "build", "-o", probe, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	for at, b := range header {
		program[at] = b
	}
	if err := os.WriteFile(probe, program, 0o700); err != nil {
		t.Fatal(err)
	}
	return probe
}

// Offsets in the header of an ELF file.
const (
	osABI   = 7
	machine = 18
)

func TestTheImageHoldsTheProbeAndNothingElse(t *testing.T) {
	probe := built(t, map[int]byte{machine: byte(elf.EM_AARCH64)})
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "probe.tar")
	ref, err := kubernetes.Image(probe, file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	if want := "meshbreach.test/probe:" + hex.EncodeToString(sum[:])[:12]; ref != want {
		t.Errorf("reference %s, want %s", ref, want)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if config.OS != "linux" || config.Architecture != "arm64" || c.User != "65532:65532" || len(c.Entrypoint) != 1 || c.Entrypoint[0] != "/probe" || !config.Created.IsZero() {
		t.Errorf("config %+v", config)
	}
	files := tar.NewReader(mutate.Extract(img))
	h, err := files.Next()
	if err != nil {
		t.Fatal(err)
	}
	held, err := io.ReadAll(files)
	if err != nil || h.Name != "probe" || h.Mode != 0o555 || h.Uid != 0 || h.Gid != 0 || !bytes.Equal(held, program) {
		t.Errorf("%+v, %d bytes, %v", h, len(held), err)
	}
	if _, err := files.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("more than the probe: %v", err)
	}
}

func TestTheSameProbeIsTheSameImage(t *testing.T) {
	probe := built(t, nil)
	var all [][]byte
	for range 2 {
		file := filepath.Join(t.TempDir(), "probe.tar")
		if _, err := kubernetes.Image(probe, file); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Error("they differ")
	}
}

func TestAProbeThatNoContainerCouldRunIsRefused(t *testing.T) {
	script := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	dynamic, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{
		script:          "not a program for Linux",
		dynamic:         "not static",
		script + ".not": "no such file",
		built(t, map[int]byte{osABI: byte(elf.ELFOSABI_FREEBSD)}): "FREEBSD",
		built(t, map[int]byte{machine: byte(elf.EM_386)}):         "EM_386",
	}
	for probe, why := range refused {
		file := filepath.Join(t.TempDir(), "probe.tar")
		_, err := kubernetes.Image(probe, file)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", probe, err, why)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: an image was written", probe)
		}
	}
}
