package local

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	scratchSource = "meshbreach-scratch" // how the scratch mount is known again
	scratchSize   = "512m"
)

// preparing serialises Prepare: mounts belong to the whole process.
var preparing sync.Mutex //nolint:gochecknoglobals // so do the mounts that it guards

// Prepare makes the inside fit for clusters: mounts that the host never sees,
// a /proc of our own where the kernel permits one (nothing depends on it), a
// tmpfs for scratch and the loopback link. Up calls it where it is needed; a
// second call does nothing.
func Prepare() error {
	_, err := prepare()
	return err
}

// prepare is Prepare and returns the scratch mount.
func prepare() (string, error) {
	if !Inside() {
		return "", errors.New("local runs in namespaces of its own: enter them with Reexec")
	}
	preparing.Lock()
	defer preparing.Unlock()
	if at, err := scratchMount(); at != "" || err != nil {
		return at, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", refused(fmt.Errorf("make mounts private: %w", err))
	}
	// Where parts of /proc are masked, as in many containers, the kernel does
	// not let us mount another; then we live with the old one.
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return "", fmt.Errorf("mount /proc: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return "", fmt.Errorf("find the loopback link: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return "", refused(fmt.Errorf("set the loopback link up: %w", err))
	}
	at, err := scratchPlace()
	if err != nil {
		return "", err
	}
	err = unix.Mount(scratchSource, at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0700,size="+scratchSize)
	if err != nil {
		return "", refused(fmt.Errorf("mount scratch at %s: %w", at, err))
	}
	return at, nil
}

// scratchPlace finds a folder to mount over, for a user who may not make one.
// It must be none that we need: not where we stand, nor where our program is.
func scratchPlace() (string, error) {
	var needed []string
	if at, err := os.Getwd(); err == nil {
		needed = append(needed, at)
	}
	if at, err := os.Executable(); err == nil {
		needed = append(needed, at)
	}
	needed = append(needed, os.TempDir())
	places := []string{"/dev/shm", "/run", "/mnt", "/media", "/srv"}
	for _, place := range places {
		real, err := filepath.EvalSymlinks(place)
		if err != nil || holdsAny(real, needed) {
			continue
		}
		if at, err := os.Stat(real); err == nil && at.IsDir() {
			return real, nil
		}
	}
	return "", fmt.Errorf("no place for scratch: %s are missing or in use", strings.Join(places, ", "))
}

func holdsAny(dir string, paths []string) bool {
	for _, p := range paths {
		if rel, err := filepath.Rel(dir, p); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// scratchMount is where the scratch tmpfs is mounted, empty when it is not.
func scratchMount() (string, error) {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		// 36 35 0:31 / /dev/shm rw,nosuid - tmpfs meshbreach-scratch rw
		before, after, _ := strings.Cut(lines.Text(), " - ")
		mount, source := strings.Fields(before), strings.Fields(after)
		if len(mount) > 4 && len(source) > 1 && source[1] == scratchSource {
			return mount[4], nil
		}
	}
	return "", lines.Err()
}
