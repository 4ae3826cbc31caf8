package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// home is a cluster's folder on this machine, in the user's cache. Its file is
// mounted into the nodes, so that it stays as long as they do, and is locked
// by every process that uses the cluster, so that nobody takes it away under
// them: alone while the cluster is made or taken away, else together with
// others. The kernel ends a lock with its process.
type home struct {
	dir   string
	file  *os.File
	alone bool
}

// lockTime bounds the wait for somebody who only looks.
const lockTime = time.Second

func homeOf(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	return filepath.Join(cache, "meshbreach", "kind", name), nil
}

// here is a file that a cluster's nodes have mounted as this machine sees it:
// engines in a machine of their own have other names for it.
func here(policy, name string) (string, error) {
	if _, err := os.Stat(policy); policy == "" || !errors.Is(err, os.ErrNotExist) {
		return policy, nil
	}
	dir, err := homeOf(name)
	return filepath.Join(dir, auditFile), err
}

// settle makes a cluster's home where there is none, and locks it: alone if
// nobody else is there.
func settle(ctx context.Context, dir string) (*home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the cluster's folder: %w; XDG_CACHE_HOME may name another place", err)
	}
	h := &home{dir: dir}
	// Never written again: the nodes have mounted this very file.
	f, err := os.OpenFile(h.policy(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(auditPolicy)
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("write the audit policy: %w", err)
	}
	if h.file, err = os.Open(h.policy()); err != nil {
		return nil, fmt.Errorf("use the cluster's folder: %w", err)
	}
	if err := h.lock(ctx); err != nil {
		return nil, errors.Join(err, h.leave())
	}
	return h, nil
}

func (h *home) lock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if lock(h.file, true) == nil {
			h.alone = true
			return nil
		}
		if lock(h.file, false) == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("another meshbreach is creating or removing it")
		case <-tick.C:
		}
	}
}

// share lets others use the cluster as well.
func (h *home) share() error {
	h.alone = false
	if err := lock(h.file, false); err != nil {
		return fmt.Errorf("share the cluster with other runs: %w", err)
	}
	return nil
}

// others says whether another process uses the cluster; if none does, none
// will until leave.
func (h *home) others() bool { return !h.alone && lock(h.file, true) != nil }

// policy is the path of the file that is mounted.
func (h *home) policy() string { return filepath.Join(h.dir, auditFile) }

// leave ends the use.
func (h *home) leave() error { return h.file.Close() }

// remove takes the folder away; the cluster is gone.
func (h *home) remove() error {
	// The engine told us where it lies: anything else stays.
	if !strings.HasPrefix(filepath.Base(h.dir), prefix) {
		return fmt.Errorf("folder %s was not made by meshbreach", h.dir)
	}
	return os.RemoveAll(h.dir)
}

// enter locks the home that a policy lies in, alone, to take the cluster away;
// nil is a home that is gone. Somebody who uses it is ErrInUse.
func enter(policy string) (*home, error) {
	f, err := os.Open(policy)
	if errors.Is(err, os.ErrNotExist) || policy == "" {
		return nil, nil
	}
	if errors.Is(err, os.ErrPermission) { // another user's, who may use it or not
		return nil, errors.Join(ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	h := &home{dir: filepath.Dir(policy), file: f, alone: true}
	if lock(f, true) != nil {
		return nil, errors.Join(ErrInUse, h.leave())
	}
	return h, nil
}

// used says whether a process uses the cluster that has mounted a policy.
func used(policy string) (bool, error) {
	h, err := enter(policy)
	if errors.Is(err, ErrInUse) {
		return true, nil
	}
	if err != nil || h == nil {
		return false, err
	}
	return false, h.leave()
}
