package programs

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A bundle is folders of a pinned module as one gzipped tar. The module is
// downloaded and verified, and nothing of it is built.
type bundle struct {
	module  module
	path    string // of the Go module
	folders []string
}

// bundled is the folder that all are in: readers of charts take the first
// folder of an archive off.
const bundled = "bundle"

func (bundle) from() string { return FromBuild }

func (b bundle) how() string {
	return fmt.Sprintf("unpack %s of %s %s", strings.Join(b.folders, " and "), b.module.family, b.module.version)
}

// key changes with the sums and with what is taken.
func (b bundle) key() (string, error) {
	archive, err := b.module.text()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, bundled, b.path, b.folders)
	h.Write(archive)
	return b.module.version + "-" + hex.EncodeToString(h.Sum(nil))[:12], nil
}

func (b bundle) fetch(ctx context.Context, to string, o Options) (err error) {
	work, err := os.MkdirTemp(filepath.Dir(to), "work-*")
	if err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	archive, err := b.module.text()
	if err != nil {
		return err
	}
	in := build{module: b.module, dir: filepath.Join(work, "module"), temp: work, note: o.note}
	if err := unfold(archive, in.dir); err != nil {
		return fmt.Errorf("unfold the module of %s: %w", b.module.family, err)
	}
	o.note("getting %s %s from its pinned Go module", b.module.family, b.module.version)
	if said, err := in.run(ctx, "mod", "download", b.path); err != nil {
		return fmt.Errorf("download %s: %w: %s", b.path, err, oneLine(strings.Join(said, " "), 200))
	}
	said, err := in.run(ctx, "list", "-m", "-f", "{{.Dir}}", b.path)
	if err != nil {
		return fmt.Errorf("find %s: %w", b.path, err)
	}
	if err := b.pack(strings.TrimSpace(strings.Join(said, "")), to); err != nil {
		return fmt.Errorf("pack %s of %s: %w", strings.Join(b.folders, " and "), b.path, err)
	}
	return nil
}

// pack writes the folders, in their order and sorted within, with nothing that
// differs from one machine to the next.
func (b bundle) pack(from, to string) (err error) {
	root, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	for _, folder := range b.folders {
		if err := b.add(root.FS(), folder, archive); err != nil {
			return err
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return err
	}
	if err := out.Chmod(0o644); err != nil {
		return err
	}
	return out.Sync()
}

func (b bundle) add(from fs.FS, folder string, to *tar.Writer) error {
	var names []string
	err := fs.WalkDir(from, folder, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := addFile(from, name, path.Join(bundled, path.Base(folder), strings.TrimPrefix(name, folder)), to); err != nil {
			return err
		}
	}
	return nil
}

func addFile(from fs.FS, name, as string, to *tar.Writer) (err error) {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := to.WriteHeader(&tar.Header{Name: as, Mode: 0o644, Size: info.Size(), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err = io.Copy(to, in)
	return err
}
