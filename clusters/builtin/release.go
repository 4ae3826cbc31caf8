package builtin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/consul"
	"github.com/meshbreach/meshbreach/clusters/envoy"
	"github.com/meshbreach/meshbreach/clusters/istio"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// Programs are the third-party programs that a mesh runs; the first one's
// version is that of the release.
func Programs(mesh string) []string {
	switch mesh {
	case (envoy.Mesh{}).Name():
		return []string{envoy.Program}
	case (consul.Mesh{}).Name():
		return []string{consul.Program, consul.ProgramProxy}
	case (istio.Mesh{}).Name():
		return istio.Programs()
	default:
		return nil
	}
}

// A Search says how to look for a mesh's programs.
type Search struct {
	Paths map[string]string // by program; what is named here is taken or nothing is
	Get   bool              // pinned programs that are missing may be downloaded or built
	// Note, which may be nil, is told what takes long or may surprise.
	Note func(string)
}

// Release is a mesh's release made of the programs that are on this machine.
// The error for a missing one is a *programs.NotFoundError, which says where it
// was looked for and how to get it.
func Release(ctx context.Context, mesh string) (clusters.Release, error) {
	return Search{}.Release(ctx, mesh)
}

// Release is a mesh's release made of the programs that are found.
func (s Search) Release(ctx context.Context, mesh string) (clusters.Release, error) {
	var r clusters.Release
	for i, name := range Programs(mesh) {
		f, err := s.find(ctx, name)
		if err != nil {
			return clusters.Release{}, err
		}
		if i == 0 {
			r = clusters.Release{Version: f.Version, Programs: map[string]string{}}
		}
		r.Programs[name] = f.Path
	}
	return r, nil
}

// find looks on this machine first, so that a download can be announced.
func (s Search) find(ctx context.Context, name string) (programs.Found, error) {
	f, err := programs.Find(ctx, name, programs.Options{Path: s.Paths[name]})
	if err != nil && s.Get && s.Paths[name] == "" && ctx.Err() == nil {
		s.note(fmt.Sprintf("%s is not on this machine: getting the pinned one", name))
		f, err = programs.Find(ctx, name, programs.Options{Get: true, Note: s.Note})
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
func CheckPrograms(ctx context.Context) []Check {
	users := map[string][]string{}
	for _, mesh := range Names(Meshes()) {
		for _, program := range Programs(mesh) {
			users[program] = append(users[program], mesh)
		}
	}
	var out []Check
	for _, name := range slices.Sorted(maps.Keys(users)) {
		f, err := programs.Find(ctx, name, programs.Options{})
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
