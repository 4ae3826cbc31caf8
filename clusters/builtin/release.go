package builtin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/suggest"
)

// A Search says how to look for a mesh's programs.
type Search struct {
	Paths  map[string]string // by program; what is named here is taken or nothing is
	Images map[string]string // by program, a reference each; as Paths
	Get    bool              // pinned programs that are missing may be downloaded or built
	// Registry, such as registry.example/hub, is asked for images of the pinned
	// releases before anything is built. Empty asks none.
	Registry string
	// Note, which may be nil, is told what takes long or may surprise.
	Note func(string)
}

// Release is a mesh's release made of the programs that are on this machine.
// The error for a missing one is a *programs.NotFoundError, which says where it
// was looked for and how to get it.
func Release(ctx context.Context, mesh string) (meshes.Release, error) {
	return Search{}.Release(ctx, mesh)
}

// Release is a mesh's release made of the programs that are found.
func (s Search) Release(ctx context.Context, mesh string) (meshes.Release, error) {
	m, err := Mesh(mesh)
	if err != nil {
		return meshes.Release{}, err
	}
	return s.release(ctx, m.Describe())
}

func (s Search) release(ctx context.Context, d meshes.Descriptor) (meshes.Release, error) {
	var r meshes.Release
	for i, name := range d.Programs {
		f, err := s.find(ctx, name)
		if err != nil {
			return meshes.Release{}, err
		}
		if i == 0 {
			r = meshes.Release{Version: f.Version, Programs: map[string]string{}, Note: s.Note}
		}
		r.Programs[name] = f.Path
		if name == d.Proxy.Program {
			r.Proxy = proxyBuild(ctx, d.Proxy.Name, f)
		}
	}
	return r, nil
}

// proxyBuild says which proxy it is that judges, and whose build of it.
func proxyBuild(ctx context.Context, proxy string, f programs.Found) string {
	said := proxy + " " + f.Version
	for _, m := range Meshes() {
		d := m.Describe()
		if d.Proxy.Own == nil || d.Proxy.Name != proxy {
			continue
		}
		switch own, err := d.Proxy.Own(ctx, f.Path); {
		case err != nil:
			return said // it does not even say so much; whoever starts it will see why
		case own:
			return said + ", " + d.Title + "'s own build"
		}
	}
	return said + ", stock build"
}

// find looks on this machine first, so that a download can be announced.
func (s Search) find(ctx context.Context, name string) (programs.Found, error) {
	o := programs.Options{Path: s.Paths[name], Image: s.Images[name]}
	f, err := programs.Find(ctx, name, o)
	if err != nil && s.Get && o.Path == "" && o.Image == "" && ctx.Err() == nil {
		s.note(fmt.Sprintf("%s is not on this machine: getting the pinned one", name))
		f, err = programs.Find(ctx, name, programs.Options{Get: true, Registry: s.Registry, Note: s.Note})
	}
	if err == nil && f.Warning != "" {
		s.note(f.Warning)
	}
	return f, err
}

func (s Search) note(text string) {
	if s.Note != nil {
		s.Note(text)
	}
}

// Prefetch gets the programs of meshes, for a process that is about to enter
// namespaces without a network. Note is told how builds go.
func Prefetch(ctx context.Context, note func(string), meshes ...string) error {
	for _, mesh := range meshes {
		if _, err := (Search{Get: true, Note: note}).Release(ctx, mesh); err != nil {
			return err
		}
	}
	return nil
}

// A Check is a line of what doctor says.
type Check struct {
	What   string
	Detail string
	Err    error    // why it is missing; nil where it is there
	Meshes []string // that need it, where it is a program
}

// CheckPrograms looks for every program that a mesh needs, sorted by program.
func CheckPrograms(ctx context.Context) []Check { return Search{}.Check(ctx) }

// CheckNames is an error for the first name that no program has, of a list that
// the user gave to a flag.
func CheckNames(names ...string) error {
	known := programs.Names()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("unknown program %q%s: known are %s", name, suggest.Text(name, known), strings.Join(known, ", "))
		}
	}
	return nil
}

// KnownPrograms are all programs that can be named.
func KnownPrograms() []string { return programs.Names() }

// SearchOrder is where programs are looked for, first place first.
func SearchOrder() []string { return programs.Order() }

// Check looks for every program that a mesh needs, sorted by program, and
// gets none.
func (s Search) Check(ctx context.Context) []Check {
	users := map[string][]string{}
	for _, m := range Meshes() {
		for _, program := range m.Describe().Programs {
			users[program] = append(users[program], meshName(m))
		}
	}
	var out []Check
	for _, name := range slices.Sorted(maps.Keys(users)) {
		f, err := programs.Find(ctx, name, programs.Options{Path: s.Paths[name], Image: s.Images[name]})
		c := Check{What: name, Err: err, Meshes: users[name]}
		if err == nil {
			c.Detail = fmt.Sprintf("%s %s (%s)", f.Version, f.Path, f.Source)
		}
		if f.Warning != "" {
			c.Detail += "; " + f.Warning
		}
		out = append(out, c)
	}
	return out
}
