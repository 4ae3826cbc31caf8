package programs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// search goes from place to place and remembers why not.
type search struct {
	program
	looked []Place
}

func (s *search) not(where string, why error) {
	s.looked = append(s.looked, Place{where, oneLine(why.Error(), 300)})
}

var (
	errNotGiven   = errors.New("not given")
	errNotSet     = errors.New("not set")
	errNotCached  = errors.New("not there")
	errNotAllowed = errors.New("not allowed")
	errNoImage    = errors.New("no image holds it")
)

func (p program) find(ctx context.Context, o Options) (Found, error) {
	s := &search{program: p}
	if o.Path != "" {
		return p.given(ctx, o.Path, FromFlag, "the path given")
	}
	if o.Image != "" {
		return p.published(ctx, o.Image)
	}
	s.not("--program "+p.name, errNotGiven)
	if path := os.Getenv(p.variable); path != "" {
		return p.given(ctx, path, FromVariable, p.variable)
	}
	s.not(p.variable, errNotSet)
	if f, ok := s.onPath(ctx); ok {
		return f, nil
	}
	return s.cached(ctx, o)
}

// onPath looks for a program, not for a file, on PATH.
func (s *search) onPath(ctx context.Context) (Found, bool) {
	if s.reports == nil {
		return Found{}, false
	}
	path, err := exec.LookPath(s.name)
	if err != nil {
		s.not("PATH", fmt.Errorf("no %s", s.name))
		return Found{}, false
	}
	f, err := s.try(ctx, path, FromPath)
	if err != nil {
		s.not("PATH", err)
	}
	return f, err == nil
}

// given takes what the user named, or nothing.
func (p program) given(ctx context.Context, path, source, where string) (Found, error) {
	f, err := p.try(ctx, path, source)
	if err != nil {
		return Found{}, fmt.Errorf("use %s from %s: %w", p.name, where, err)
	}
	return f, nil
}

// cached looks into the cache and fills it when it may.
func (s *search) cached(ctx context.Context, o Options) (Found, error) {
	path, err := s.cachePath()
	if err != nil {
		s.not("cache", err)
		return Found{}, s.nowhere(err)
	}
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		s.not("cache "+path, errNotCached)
	case err != nil:
		s.not("cache "+path, err)
	default:
		f, err := s.try(ctx, path, FromCache)
		if err == nil {
			return f, nil
		}
		// A download would not replace it, so nothing else is left to try.
		s.not("cache "+path, fmt.Errorf("%w; remove it", err))
		return Found{}, s.nowhere(err)
	}
	if !o.Get {
		s.not(s.source.from(), errNotAllowed)
		return Found{}, s.nowhere(nil)
	}
	if f, ok := s.mirrored(ctx, o); ok {
		return f, nil
	}
	f, err := s.fetched(ctx, path, o)
	if err != nil {
		s.not(s.source.from(), err)
		return Found{}, s.nowhere(err)
	}
	return f, nil
}

// mirrored takes the release's image from the registry that the user named.
func (s *search) mirrored(ctx context.Context, o Options) (Found, bool) {
	if o.Registry == "" {
		return Found{}, false
	}
	if s.image == (release{}) {
		s.not("registry "+o.Registry, errNoImage)
		return Found{}, false
	}
	f, err := s.published(ctx, strings.TrimSuffix(o.Registry, "/")+"/"+s.image.image)
	if err != nil {
		s.not("registry "+o.Registry, err)
	}
	return f, err == nil
}

// fetched fills the cache.
func (p program) fetched(ctx context.Context, path string, o Options) (Found, error) {
	if err := p.fill(ctx, path, o); err != nil {
		return Found{}, err
	}
	return p.try(ctx, path, p.source.from())
}

func (s *search) nowhere(err error) error {
	return &NotFoundError{Program: s.name, Looked: s.looked, How: s.how(), Err: err}
}

func (p program) how() string { return "meshbreach doctor --get, or " + p.source.how() }

// cachePath is where this version for this machine lies once it was fetched.
func (p program) cachePath() (string, error) {
	key, err := p.source.key()
	if err != nil {
		return "", err
	}
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, p.folder()+"-"+key, p.base()), nil
}

// folder is what the names of this program's folders in the cache begin with.
func (p program) folder() string { return cmp.Or(p.family, p.name) }

// base is the program's name in its folder.
func (p program) base() string { return cmp.Or(p.file, p.name) }

// try runs a program for its version. A file has the version that was asked
// for: its name in the cache says so, or the user does.
func (p program) try(ctx context.Context, path, source string) (Found, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Found{}, err
	}
	if p.reports == nil {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a file", path)
		}
		if err != nil {
			return Found{}, err
		}
		return Found{Program: p.name, Path: path, Version: p.version, Source: source}, nil
	}
	ask := cmp.Or(p.ask, "--version")
	out, err := answer(ctx, path, ask)
	if err != nil {
		return Found{}, err
	}
	m := p.reports.FindSubmatch(out)
	if m == nil {
		return Found{}, fmt.Errorf("%s %s says nothing that %s would say: %q", path, ask, p.name, oneLine(string(out), 80))
	}
	f := Found{Program: p.name, Path: path, Version: string(m[1]), Source: source}
	if f.Version != p.version {
		f.Warning = fmt.Sprintf("%s %s is not the version that meshbreach is tested with (%s): verdicts may differ", p.name, f.Version, p.version)
	}
	return f, nil
}

// answer runs path with one argument, for at most ten seconds.
func answer(ctx context.Context, path, ask string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, path, ask)
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("run %s %s: no answer: %w", path, ask, ctx.Err())
		}
		// A program written a moment ago is busy while a child that another
		// goroutine forks still holds our file, until that child's exec.
		if !errors.Is(err, syscall.ETXTBSY) {
			return nil, fmt.Errorf("run %s %s: %w", path, ask, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p program) diagnose(ctx context.Context, o Options) Row {
	row := Row{Program: p.name, How: p.how()}
	row.Found, row.Err = p.find(ctx, o)
	row.OK = row.Err == nil
	var missing *NotFoundError
	if errors.As(row.Err, &missing) {
		row.Looked = missing.Looked
	}
	return row
}
