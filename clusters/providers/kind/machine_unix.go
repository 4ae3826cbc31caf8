//go:build linux || darwin

package kind

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a file for us alone, or together with others that use it. It does
// not wait.
func lock(f *os.File, alone bool) error {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	return unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
}

// room is an error when a folder has less left than is wanted, in bytes. The
// folder of an engine on another machine is not seen, and passes.
func room(folder string, wanted uint64) error {
	var s unix.Statfs_t
	err := unix.Statfs(folder, &s)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("see how much room %s has: %w", folder, err)
	}
	if left := s.Bavail * uint64(s.Bsize); left < wanted {
		return fmt.Errorf("the container engine has %.1f GB left in %s, and a cluster with a mesh needs %.1f GB; docker system df shows what uses the rest", float64(left)/(1<<30), folder, float64(wanted)/(1<<30))
	}
	return nil
}
