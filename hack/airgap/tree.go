package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// An entry is a file, a folder or a symbolic link of a layer.
type entry struct {
	path     string // without a slash before it
	mode     int64  // permissions; 0 is a symbolic link
	owner    int    // user and group
	text     []byte
	from     string // a file of this machine, instead of text
	link     string // where a symbolic link leads
	isFolder bool
}

func file(to string, mode int64, text string) entry {
	return entry{path: to, mode: mode, text: []byte(text)}
}

func program(to, from string) entry { return entry{path: to, mode: 0o755, from: from} }

func copied(to, from string) entry { return entry{path: to, mode: 0o644, from: from} }

func folder(to string, mode int64, owner int) entry {
	return entry{path: to, mode: mode, owner: owner, isFolder: true}
}

func symlink(to, leads string) entry { return entry{path: to, link: leads} }

// A tree is the content of a layer. The same tree is the same bytes: sorted,
// without times.
type tree []entry

// whole has every entry once and a folder above each. What a symbolic link of
// Debian leads to must be named by its true path, or the folder would take the
// link's place.
func (t tree) whole() (tree, error) {
	named := map[string]bool{}
	for _, e := range t {
		if top, _, _ := strings.Cut(e.path, "/"); slices.Contains([]string{"", "bin", "lib", "lib64", "sbin"}, top) {
			return nil, fmt.Errorf("%q is not a path below usr or another true folder", e.path)
		}
		if named[e.path] {
			return nil, fmt.Errorf("%s is there twice", e.path)
		}
		named[e.path] = true
	}
	all := slices.Clone(t)
	for _, e := range t {
		for dir := path.Dir(e.path); dir != "." && !named[dir]; dir = path.Dir(dir) {
			named[dir] = true
			all = append(all, folder(dir, 0o755, 0))
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// write is the tree as a tar.
func (t tree) write(w io.Writer) error {
	all, err := t.whole()
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	for _, e := range all {
		if err := e.write(out); err != nil {
			return fmt.Errorf("write %s: %w", e.path, err)
		}
	}
	return out.Close()
}

func (e entry) write(out *tar.Writer) error {
	h := &tar.Header{Name: e.path, Mode: e.mode, Uid: e.owner, Gid: e.owner, Format: tar.FormatPAX}
	switch {
	case e.isFolder:
		h.Typeflag, h.Name = tar.TypeDir, e.path+"/"
		return out.WriteHeader(h)
	case e.link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.link, 0o777
		return out.WriteHeader(h)
	case e.from == "":
		h.Typeflag, h.Size = tar.TypeReg, int64(len(e.text))
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := out.Write(e.text)
		return err
	}
	f, err := os.Open(e.from)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return err
}
