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

// cacheRoot is the folder of all that was fetched or built.
func cacheRoot() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "meshbreach"), nil
}

// fill fetches a program into the cache.
func (p program) fill(ctx context.Context, path string, o Options) (err error) {
	folder := filepath.Dir(path)
	parent := filepath.Dir(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	age := stale
	if p.source.from() == FromBuild {
		leave, err := turn(ctx, parent, p.folder()+" "+p.version, o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, leave()) }()
		if _, err := os.Stat(path); err == nil {
			return nil // built while we waited
		}
		age = 0 // only who has the turn builds: other drafts are of the dead
	}
	return draft(folder, "."+p.folder()+"-", age, func(dir string) error {
		return p.source.fetch(ctx, filepath.Join(dir, p.base()), o)
	})
}

// draft makes a folder of the cache. It appears whole or not at all, after a
// power cut too: of two runs that make it at once, one wins and both use what
// it put there. Drafts have the prefix, and those older than age are removed.
func draft(folder, prefix string, age time.Duration, put func(dir string) error) (err error) {
	parent := filepath.Dir(folder)
	sweep(parent, prefix, age)
	dir, err := os.MkdirTemp(parent, prefix+"*")
	if err != nil {
		return fmt.Errorf("make a folder in the cache: %w; XDG_CACHE_HOME may name another place", err)
	}
	defer func() {
		// Gone already when it was renamed.
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := put(dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("open %s to its users: %w", dir, err)
	}
	if err := persist(dir); err != nil {
		return err
	}
	if err := os.Rename(dir, folder); err != nil {
		if info, there := os.Stat(folder); there == nil && info.IsDir() {
			return nil // the other run was first
		}
		return fmt.Errorf("put %s into the cache: %w", filepath.Base(folder), err)
	}
	return persist(parent)
}

// persist writes a folder's entries to the disk; their content is written by
// who made them.
func persist(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write the cache to disk: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write the cache to disk: %w", err)
	}
	return nil
}

// sweep removes what killed runs left. It is housekeeping: what cannot be
// removed does no harm.
func sweep(parent, prefix string, age time.Duration) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(info.ModTime()) > age {
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
