package programs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/cache"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// FromImage writes one file of an image to a new file, as a container of that
// image would see it: upper layers win, whiteouts hide, links are followed. Of
// an image for many machines it is that of this one, with linux. Registries
// are asked with the credentials that docker keeps for the user; those on
// loopback and on private addresses may be without TLS.
func FromImage(ctx context.Context, reference, file, to string) error {
	img, err := pull(ctx, reference)
	if err != nil {
		return err
	}
	if err := cut(ctx, img, file, to); err != nil {
		return fmt.Errorf("take %s from image %s: %w", file, reference, err)
	}
	return nil
}

// pull asks for what an image is made of, not yet for its layers.
func pull(ctx context.Context, reference string) (v1.Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fmt.Errorf("read image reference: %w", err)
	}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, fmt.Errorf("pull image %s (is its registry reachable?): %w", ref, err)
	}
	return img, nil
}

// published takes the program from an image; one that was unpacked before is
// not unpacked again.
func (p program) published(ctx context.Context, reference string) (Found, error) {
	if p.image == (release{}) {
		return Found{}, fmt.Errorf("use %s from image %s: %w", p.name, reference, errNoImage)
	}
	img, err := pull(ctx, reference)
	if err != nil {
		return Found{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return Found{}, fmt.Errorf("pull image %s: %w", reference, err)
	}
	root, err := cacheRoot()
	if err != nil {
		return Found{}, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return Found{}, fmt.Errorf("make the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	folder := filepath.Join(root, p.name+"-image-"+digest.Hex[:12])
	path := filepath.Join(folder, p.base())
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		err := draft(folder, ".image-"+p.name+"-", stale, func(dir string) error {
			return cut(ctx, img, p.image.file, filepath.Join(dir, p.base()))
		})
		if err != nil {
			return Found{}, fmt.Errorf("take %s from image %s: %w", p.name, reference, err)
		}
	}
	return p.given(ctx, path, FromRegistry, "image "+reference)
}

// cut writes one file of an image to a new file.
func cut(ctx context.Context, img v1.Image, file, to string) (err error) {
	// Layers are read twice: once for what is where, once for the content.
	scratch, err := os.MkdirTemp(filepath.Dir(to), "layers-*")
	if err != nil {
		return fmt.Errorf("make a folder for layers: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	layers, err := cache.Image(img, cache.NewFilesystemCache(scratch)).Layers()
	if err != nil {
		return err
	}
	seen := tree{newNode()}
	for i, l := range layers {
		err := entries(ctx, l, func(n int, h *tar.Header, _ *tar.Reader) error {
			return seen.apply(h, place{i, n})
		})
		if err != nil {
			return fmt.Errorf("read layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	found, err := seen.regular(file)
	if err != nil {
		return err
	}
	return entries(ctx, layers[found.layer], func(n int, _ *tar.Header, r *tar.Reader) error {
		if n != found.entry {
			return nil
		}
		return write(r, to, 0o755, most)
	})
}

// entries goes through a layer to its end, where its digest is verified.
func entries(ctx context.Context, l v1.Layer, each func(n int, h *tar.Header, r *tar.Reader) error) (err error) {
	in, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r := tar.NewReader(in)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, in)
			return err
		}
		if err != nil {
			return err
		}
		if err := each(n, h, r); err != nil {
			return err
		}
	}
}
