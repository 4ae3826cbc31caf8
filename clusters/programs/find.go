package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
)

func (p program) find(ctx context.Context, o Options) (Found, error) {
	s := &search{program: p}
	if o.Path != "" {
		return p.given(ctx, o.Path, FromFlag, "the path given")
	}
	s.not("--"+p.name, errNotGiven)
	if path := os.Getenv(p.variable); path != "" {
		return p.given(ctx, path, FromVariable, p.variable)
	}
	s.not(p.variable, errNotSet)
	path, err := exec.LookPath(p.name)
	if err != nil {
		s.not("PATH", fmt.Errorf("no %s", p.name))
	} else if f, err := p.try(ctx, path, FromPath); err == nil {
		return f, nil
	} else {
		s.not("PATH", err)
	}
	return s.cached(ctx, o.Get)
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
func (s *search) cached(ctx context.Context, get bool) (Found, error) {
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
	if !get {
		s.not("download", errNotAllowed)
		return Found{}, s.nowhere(nil)
	}
	if err := s.fill(ctx, path); err != nil {
		s.not("download", err)
		return Found{}, s.nowhere(err)
	}
	f, err := s.try(ctx, path, FromDownload)
	if err != nil {
		s.not("download", err)
		return Found{}, s.nowhere(err)
	}
	return f, nil
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
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "meshbreach", p.name+"-"+key, p.name), nil
}

// try runs a program for its version.
func (p program) try(ctx context.Context, path, source string) (Found, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Found{}, err
	}
	out, err := version(ctx, path)
	if err != nil {
		return Found{}, err
	}
	m := p.reports.FindSubmatch(out)
	if m == nil {
		return Found{}, fmt.Errorf("%s --version says nothing that %s would say: %q", path, p.name, oneLine(string(out), 80))
	}
	f := Found{Program: p.name, Path: path, Version: string(m[1]), Source: source}
	if f.Version != p.version {
		f.Warning = fmt.Sprintf("%s %s is not the version that meshbreach is tested with (%s): verdicts may differ", p.name, f.Version, p.version)
	}
	return f, nil
}

// version runs path --version, for at most ten seconds.
func version(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("run %s --version: no answer: %w", path, ctx.Err())
		}
		// A program written a moment ago is busy while a child that another
		// goroutine forks still holds our file, until that child's exec.
		if !errors.Is(err, syscall.ETXTBSY) {
			return nil, fmt.Errorf("run %s --version: %w", path, err)
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
