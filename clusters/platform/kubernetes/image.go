package kubernetes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	scratch "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// ImageUser is the user and the group, by number, that the probe's image runs as.
const ImageUser = 65532

// imageProgram is the probe in its image, which holds nothing else.
const imageProgram = "/probe"

// A Loader is Nodes that can be given images of containers.
type Loader interface {
	// Load makes sure that every node has the images, as far as they can be had
	// on this machine; what cannot is left to the nodes to pull.
	Load(ctx context.Context, refs ...string) error
}

// A Passing is Nodes that may go with the run.
type Passing interface {
	// Passes says that the whole cluster is taken away when the run ends, so
	// that nothing on it need be taken back before.
	Passes() bool
}

// Image makes the probe's image from its program and writes it to a file, as
// docker save would. The reference is meshbreach.test/probe:TAG, where TAG is
// the first 12 hexadecimal digits of the program's SHA-256: no registry has
// it, so that it is never pulled by mistake, and nodes that have it have this
// very program. The same program makes the same image. A program that is not
// for Linux, or that needs libraries, is an error.
func Image(probe, file string) (ref string, err error) {
	program, err := os.ReadFile(probe)
	if err != nil {
		return "", fmt.Errorf("make the probe's image: %w", err)
	}
	machine, err := runsAlone(program)
	if err != nil {
		return "", fmt.Errorf("make the probe's image: %s %w; build it with CGO_ENABLED=0 GOOS=linux", probe, err)
	}
	img, err := imageOf(program, machine)
	if err != nil {
		return "", fmt.Errorf("make the probe's image: %w", err)
	}
	sum := sha256.Sum256(program)
	tag, err := name.NewTag("meshbreach.test/probe:" + hex.EncodeToString(sum[:6]))
	if err != nil {
		return "", fmt.Errorf("make the probe's image: %w", err)
	}
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		return "", fmt.Errorf("write the probe's image: %w", err)
	}
	return tag.Name(), nil
}

// runsAlone is the machine that a program is for, as GOARCH has it. What does
// not run in an image without anything else is an error.
func runsAlone(program []byte) (string, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return "", errors.New("is not a program for Linux")
	}
	if f.OSABI != elf.ELFOSABI_NONE && f.OSABI != elf.ELFOSABI_LINUX {
		return "", fmt.Errorf("is a program for %s, not for Linux", f.OSABI)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", errors.New("is not static")
		}
	}
	machines := map[elf.Machine]string{
		elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64", elf.EM_S390: "s390x", elf.EM_PPC64: "ppc64le",
	}
	machine, ok := machines[f.Machine]
	if !ok {
		return "", fmt.Errorf("is built for %s, and nodes run amd64, arm64, s390x or ppc64le", f.Machine)
	}
	return machine, nil
}

// imageOf is an image with one layer that holds the program.
func imageOf(program []byte, machine string) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	// No times and no names of users: the same program is the same layer.
	err := w.WriteHeader(&tar.Header{Name: imageProgram[1:], Mode: 0o555, Size: int64(len(program)), Typeflag: tar.TypeReg})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	// It goes to the next process on the same machine: speed counts, not size.
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(scratch.Image, l)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", machine
	config.Config = v1.Config{Entrypoint: []string{imageProgram}, User: fmt.Sprintf("%d:%[1]d", ImageUser)}
	return mutate.ConfigFile(img, config)
}
