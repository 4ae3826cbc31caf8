package probe

import (
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const restrictedFlag = "restricted"

// restrict takes from this process what a thief inside a workload must not
// have: the folders to hide, the sight of other processes, every capability,
// and the way to get one back. It runs on a locked thread and then executes
// this program again from there: only so do all threads of a Go program change.
// It returns only when something could not be done; socket is handed on.
func restrict(hide []string, socket string) error {
	// Opened before anything is hidden, since the program may lie in there.
	self, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open own program: %w", err)
	}
	if len(hide) > 0 {
		if err := conceal(hide); err != nil {
			return err
		}
	}
	if err := dropCapabilities(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	args := []string{os.Args[0], "-" + restrictedFlag}
	if socket != "" {
		args = append(args, "-serve", socket)
	}
	if err := syscall.Exec("/proc/self/fd/"+strconv.Itoa(self), args, os.Environ()); err != nil {
		return fmt.Errorf("execute own program again: %w", err)
	}
	return nil
}

// conceal covers the folders, in a mount namespace of our own so that nobody
// else loses sight of them. What cannot be hidden is an error: a probe that
// could read a proxy's keys would prove nothing.
func conceal(hide []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter own mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, path := range hide {
		if err := unix.Mount("tmpfs", path, "tmpfs", flags|unix.MS_RDONLY, "size=4k,mode=000"); err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	// The old /proc may show the processes of another PID namespace. A kernel
	// under a container engine may refuse a new one; then theirs can be seen,
	// but without capabilities not entered.
	if err := unix.Mount("proc", "/proc", "proc", flags, ""); err != nil {
		log.Printf("no fresh /proc: %v", err)
	}
	return nil
}

// dropCapabilities empties every set of this thread. Without CAP_SETPCAP the
// bounding set stays; with nothing left in the others and no new privileges it
// bounds nothing.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	mayBound := have[unix.CAP_SETPCAP/32].Effective&(1<<(unix.CAP_SETPCAP%32)) != 0
	for c := 0; mayBound; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // above the last that this kernel knows
		}
		if err != nil {
			return fmt.Errorf("bound capability %d: %w", c, err)
		}
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	none := slices.Repeat([]unix.CapUserData{{}}, 2)
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}
