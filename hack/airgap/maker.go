package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

// A maker makes the images of one recipe.
type maker struct {
	recipe recipe
	sums   sums
	root   string // folder of all caches
	engine engine
	note   func(line string)
	parts  map[string]string // pinned programs and files, once they are there
	lacks  []string          // capabilities of this machine
}

// dir is the folder of what is made, each under its own sum: a change of one
// thing does not make the others anew.
func (m *maker) dir() string { return filepath.Join(m.root, "offline") }

// base is a small Debian.
func (m *maker) base() string { return filepath.Join(m.dir(), "base-"+m.sums.base+".tar") }

// node is a Debian with systemd.
func (m *maker) node() string { return filepath.Join(m.dir(), "node-"+m.sums.node+".tar") }

// control is the control plane's images, as containerd keeps them.
func (m *maker) control() string { return filepath.Join(m.dir(), "control-"+m.sums.store+".tar") }

func (m *maker) pause() string { return filepath.Join(m.dir(), "pause-"+m.sums.pause) }

// A step is done, or says that there was nothing to do.
type step struct {
	name string
	do   func(ctx context.Context) (did string, err error)
}

func (m *maker) steps() []step {
	return []step{
		{"programs", m.programs},
		{"small Debian", m.debian(m.base(), baseSystem())},
		{"node's Debian", m.debian(m.node(), nodeSystem())},
		{"control plane", m.store},
		{"images", m.images},
		{"trial", m.trial},
	}
}

// walk does one step after the other. What was done before one failed stays, so
// that the next call goes on there.
func walk(ctx context.Context, steps []step, out io.Writer, note func(string)) (err error) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer func() { err = errors.Join(err, table.Flush()) }()
	for _, s := range steps {
		note(s.name)
		start := time.Now()
		did, err := s.do(ctx)
		took := time.Since(start).Round(100 * time.Millisecond)
		if err != nil {
			fmt.Fprintf(table, "%s\t%s\tnot done\n", s.name, took)
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.name, took, did)
	}
	return nil
}

const already = "there already"

// programs gets every part, and builds what is missing.
func (m *maker) programs(ctx context.Context) (string, error) {
	got := 0
	m.parts = map[string]string{"pause": m.pause()}
	for _, name := range partNames() {
		found, err := programs.Pinned(ctx, name, programs.Options{Get: true, Note: m.note})
		if err != nil {
			return "", err
		}
		if found.Source != programs.FromCache {
			got++
		}
		m.parts[name] = found.Path
	}
	if !there(m.pause()) {
		got++
		if err := whole(m.pause(), func(draft string) error { return build(ctx, "pause", draft) }); err != nil {
			return "", err
		}
	}
	if got == 0 {
		return already, nil
	}
	return fmt.Sprintf("%d of %d made", got, len(m.parts)), nil
}

func (m *maker) debian(path string, s system) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if there(path) {
			return already, nil
		}
		if err := debian(ctx, s, path, m.recipe.mirror); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d packages and what they need", len(s.packages)), nil
	}
}

// store makes the images of the control plane, which a node has from the start.
func (m *maker) store(ctx context.Context) (string, error) {
	if there(m.control()) {
		return already, nil
	}
	pictures, err := m.kubernetesImages(ctx)
	if err != nil {
		return "", err
	}
	all, err := images(m.sums.store, pictures...)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d images", len(pictures)), store(ctx, m.parts, all, m.control())
}

// images gives the engine those that it lacks.
func (m *maker) images(ctx context.Context) (string, error) {
	lacking, err := m.engine.lacks(ctx, m.sums.all)
	if err != nil || len(lacking) == 0 {
		return already, err
	}
	node, err := m.nodePicture(ctx)
	if err != nil {
		return "", err
	}
	pictures, err := m.istioImages(ctx)
	if err != nil {
		return "", err
	}
	all, err := images(m.sums.all, append(pictures, node)...)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d loaded", len(all)), m.engine.load(ctx, all)
}

func (m *maker) trial(ctx context.Context) (string, error) {
	return "a node's containerd starts", m.engine.try(ctx, m.lacks)
}

// kindModule is the folder of the module that holds a node's files, at the
// version and with the sum of our go.mod.
func kindModule(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", "sigs.k8s.io/kind").Output()
	if err != nil {
		return "", fmt.Errorf("get kind's module: %w: %s", err, lastLines(string(out), 1))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("find kind's module: %w", err)
	}
	if _, err := os.Stat(module.Dir); err != nil {
		return "", fmt.Errorf("find kind's module: %w", err)
	}
	return module.Dir, nil
}
