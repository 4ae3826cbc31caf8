package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// stale is when a half-filled folder is nobody's any more.
const stale = time.Hour

// fill fetches a program into the cache. The folder appears whole or not at
// all: of two runs that fill it at once, one wins and both use what it put
// there.
func (p program) fill(ctx context.Context, path string) (err error) {
	folder := filepath.Dir(path)
	parent := filepath.Dir(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	sweep(parent, p.name)
	draft, err := os.MkdirTemp(parent, "."+p.name+"-*")
	if err != nil {
		return fmt.Errorf("make a folder in the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	defer func() {
		// Gone already when it was renamed.
		err = errors.Join(err, os.RemoveAll(draft))
	}()
	if err := p.source.fetch(ctx, filepath.Join(draft, p.name)); err != nil {
		return err
	}
	if err := os.Chmod(draft, 0o755); err != nil {
		return fmt.Errorf("open %s to its users: %w", draft, err)
	}
	err = os.Rename(draft, folder)
	if err == nil {
		return nil
	}
	if _, there := os.Stat(path); there == nil {
		return nil // the other run was first
	}
	return fmt.Errorf("put %s into the cache: %w", p.name, err)
}

// sweep removes what killed runs left. It is housekeeping: what cannot be
// removed does no harm.
func sweep(parent, name string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), "."+name+"-") && time.Since(info.ModTime()) > stale {
			_ = os.RemoveAll(filepath.Join(parent, e.Name()))
		}
	}
}

// oneLine is text of foreign origin as part of a sentence.
func oneLine(s string, most int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
