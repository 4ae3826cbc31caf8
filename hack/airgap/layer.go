package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A layer is a tar as it is. Packing 700 MB would take two cores half a minute,
// and every node would have to unpack it again.
type layer struct {
	open   func() (io.ReadCloser, error)
	digest v1.Hash
	size   int64
}

var _ v1.Layer = (*layer)(nil)

// tarLayer is a tar on the disk.
func tarLayer(ctx context.Context, path string) (*layer, error) {
	return measure(ctx, func() (io.ReadCloser, error) { return os.Open(path) })
}

// treeLayer is a tree, which is written anew each time that it is read.
func treeLayer(ctx context.Context, t tree) (*layer, error) {
	return measure(ctx, func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(t.write(w)) }()
		return r, nil
	})
}

func measure(ctx context.Context, open func() (io.ReadCloser, error)) (*layer, error) {
	in, err := open()
	if err != nil {
		return nil, fmt.Errorf("read a layer: %w", err)
	}
	defer in.Close()
	h := sha256.New()
	size, err := io.Copy(h, reader{ctx, in})
	if err != nil {
		return nil, fmt.Errorf("read a layer: %w", err)
	}
	return &layer{open: open, size: size, digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}}, nil
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// Digest is the sum of the tar, which is not packed.
func (l *layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the same.
func (l *layer) DiffID() (v1.Hash, error) { return l.digest, nil }

// Compressed is the tar.
func (l *layer) Compressed() (io.ReadCloser, error) { return l.open() }

// Uncompressed is the tar.
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.open() }

// Size is in bytes.
func (l *layer) Size() (int64, error) { return l.size, nil }

// MediaType is that of a tar that is not packed.
func (l *layer) MediaType() (types.MediaType, error) { return types.DockerUncompressedLayer, nil }
