package programs

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Names with which a layer hides what is below it:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// mostLinks is how many links are followed on one way, as Linux does.
const mostLinks = 40

var errLinks = errors.New("too many links")

// A place is where the content of a file is.
type place struct {
	layer, entry int // counted from zero, from the bottom layer
}

// A node is a name in the file system that layers make.
type node struct {
	layer    int              // that put the name there
	children map[string]*node // nil for what is no folder
	link     string           // the target of a symbolic link
	content  *place           // of a file; that of a hard link may be in a lower layer
}

func newNode() *node { return &node{children: map[string]*node{}} }

// A tree is that file system, from its root.
type tree struct{ root *node }

// apply does what one entry of a layer does to the layers below it. Entries
// come in the order of the tar, layers from the bottom.
func (t tree) apply(h *tar.Header, at place) error {
	name := path.Clean("/" + h.Name)
	dir, base := path.Split(name)
	if base == "" {
		return nil // the root itself
	}
	parent, err := t.folder(dir, at)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if hidden, ok := strings.CutPrefix(base, whiteout); ok {
		if base == opaque {
			parent.hideBelow(at.layer)
		} else if old := parent.children[hidden]; old != nil && !old.hideBelow(at.layer) {
			delete(parent.children, hidden)
		}
		return nil
	}
	n := &node{layer: at.layer}
	switch h.Typeflag {
	case tar.TypeDir:
		if old := parent.children[base]; old != nil && old.children != nil {
			old.layer = at.layer // the folder is this layer's too
			return nil
		}
		n.children = map[string]*node{}
	case tar.TypeSymlink:
		n.link = h.Linkname
	case tar.TypeLink:
		// Few links lead to what we want: one that leads nowhere is no reason
		// to give up.
		if target, err := t.find(h.Linkname, 0); err == nil {
			n.content = target.content
		}
	case tar.TypeReg:
		n.content = &at
	}
	parent.children[base] = n
	return nil
}

// hideBelow removes what lower layers put here, and reports whether anything
// of this layer is left: a whiteout hides only what is below its layer, wherever
// in the layer it stands.
func (n *node) hideBelow(layer int) (left bool) {
	for name, child := range n.children {
		if !child.hideBelow(layer) {
			delete(n.children, name)
		}
	}
	return n.layer == layer || len(n.children) > 0
}

// folder finds a folder, and makes what is missing: tars need not say it.
func (t tree) folder(name string, at place) (*node, error) {
	n, err := t.find(name, 0)
	if err == nil {
		if n.children == nil {
			return nil, fmt.Errorf("%s is no folder", name)
		}
		return n, nil
	}
	if errors.Is(err, errLinks) {
		return nil, err
	}
	up, err := t.folder(path.Dir(path.Clean(name)), at)
	if err != nil {
		return nil, err
	}
	made := newNode()
	made.layer = at.layer
	up.children[path.Base(path.Clean(name))] = made
	return made, nil
}

// find follows a name and all symbolic links on the way; they cannot leave the
// root.
func (t tree) find(name string, links int) (*node, error) {
	clean := path.Clean("/" + name)
	n, at := t.root, "/"
	rest := strings.Split(strings.TrimPrefix(clean, "/"), "/")
	for i, part := range rest {
		if part == "" {
			continue
		}
		next := n.children[part]
		if next == nil {
			return nil, fmt.Errorf("it holds no %s", clean)
		}
		if next.link == "" {
			n, at = next, path.Join(at, part)
			continue
		}
		if links++; links > mostLinks {
			return nil, fmt.Errorf("%s: %w", clean, errLinks)
		}
		target := next.link
		if !path.IsAbs(target) {
			target = path.Join(at, target)
		}
		return t.find(path.Join(append([]string{"/", target}, rest[i+1:]...)...), links)
	}
	return n, nil
}

// regular finds a file with content.
func (t tree) regular(name string) (place, error) {
	n, err := t.find(name, 0)
	if err != nil {
		return place{}, err
	}
	if n.content == nil {
		return place{}, fmt.Errorf("its %s is no file", name)
	}
	return *n.content, nil
}
