package programs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// A module is a wrapper of our own whose go.mod and go.sum pin a family of
// programs and all that they are made of. Such programs cannot be had by go
// install, for their own go.mod has replace lines.
type module struct {
	family, version string
	archive         []byte   // a txtar with go.mod and go.sum; the embedded one of the family when nil
	programs        []output // built by one call, which compiles what they share once
	files           []file
	tags, ldflags   string
	minutes         int           // a first build on two cores
	every           time.Duration // between two lines about a build that goes on; 30 s when 0
}

// An output is a program in the cache.
type output struct {
	pkg, name string // several have the names that go build gives them
}

// A file is copied from a module to the cache, under its base name.
type file struct{ module, path string }

func (module) from() string { return FromBuild }

func (m module) how() string {
	return fmt.Sprintf("install %s %s and put it on PATH", m.family, m.version)
}

// key changes with everything that could change a byte of what is built, the Go
// release aside: a new one is no reason to build for minutes again.
func (m module) key() (string, error) {
	archive, err := m.text()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.GOOS, runtime.GOARCH, m.environment(), m.arguments("", m.programs), m.programs, m.files)
	for _, f := range txtar.Parse(archive).Files {
		fmt.Fprintln(h, f.Name, len(f.Data))
		h.Write(f.Data)
	}
	return m.version + "-" + hex.EncodeToString(h.Sum(nil))[:12], nil
}

func (m module) text() ([]byte, error) {
	if m.archive != nil {
		return m.archive, nil
	}
	text, err := archives.ReadFile("modules/" + m.family + ".txtar")
	if err != nil {
		return nil, fmt.Errorf("read the module of %s: %w", m.family, err)
	}
	return text, nil
}

// environment is what the user's own must not change in a build: everything but
// where modules come from and how they are verified.
func (m module) environment() []string {
	return []string{
		"CGO_ENABLED=0", "GO111MODULE=on", "GOWORK=off", "GOFLAGS=-mod=readonly", "GOEXPERIMENT=",
		"GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH,
	}
}

// arguments are those of go that build into dir.
func (m module) arguments(dir string, programs []output) []string {
	to := dir + string(filepath.Separator)
	if len(programs) == 1 {
		to += programs[0].name
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w " + m.ldflags), "-tags", m.tags, "-o", to}
	for _, p := range programs {
		args = append(args, p.pkg)
	}
	return args
}

// fetch builds the whole family into the folder of path.
func (m module) fetch(ctx context.Context, path string, o Options) (err error) {
	dir := filepath.Dir(path)
	work, err := os.MkdirTemp(dir, "work-*")
	if err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	b := build{module: m, dir: filepath.Join(work, "module"), temp: filepath.Join(work, "temp"), note: o.note}
	archive, err := m.text()
	if err != nil {
		return err
	}
	if err := unfold(archive, b.dir); err != nil {
		return fmt.Errorf("unfold the module of %s: %w", m.family, err)
	}
	if err := os.Mkdir(b.temp, 0o755); err != nil {
		return fmt.Errorf("make a folder to build in: %w", err)
	}
	if err := b.compile(ctx, dir); err != nil {
		return err
	}
	for _, p := range m.programs {
		if err := keep(filepath.Join(dir, p.name)); err != nil {
			return fmt.Errorf("build %s: %w", p.pkg, err)
		}
	}
	for _, f := range m.files {
		if err := b.copy(ctx, f, filepath.Join(dir, filepath.Base(f.path))); err != nil {
			return fmt.Errorf("copy %s of %s: %w", f.path, f.module, err)
		}
	}
	return nil
}

// unfold writes a txtar to a folder.
func unfold(archive []byte, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files, err := txtar.FS(txtar.Parse(archive))
	if err != nil {
		return err
	}
	return os.CopyFS(dir, files)
}

// keep opens a program to others, whatever the umask, and writes it to the disk.
func keep(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(0o755); err != nil {
		return err
	}
	return f.Sync()
}

// copy takes a file out of a module that the build has verified.
func (b build) copy(ctx context.Context, f file, to string) (err error) {
	said, err := b.run(ctx, "list", "-m", "-f", "{{.Dir}}", f.module)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(strings.TrimSpace(strings.Join(said, "")))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	in, err := root.Open(filepath.FromSlash(f.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return write(in, to, 0o644, most)
}

// write copies at most limit bytes to a new file and writes it to the disk.
func write(in io.Reader, to string, mode fs.FileMode, limit int64) (err error) {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	n, err := io.Copy(out, io.LimitReader(in, limit+1))
	if err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("it has more than %d bytes", limit)
	}
	// Another umask must not keep others from using it.
	if err := out.Chmod(mode); err != nil {
		return err
	}
	return out.Sync()
}
