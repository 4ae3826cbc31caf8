package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// refused adds to an error of the kernel why it said no and what to do about
// it. Errors that are not a refusal come back as they are.
func refused(err error) error {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err
	}
	switch no {
	case unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS:
		return fmt.Errorf("%w: %s (%w)", ErrForbidden, cause(os.DirFS("/proc"), no), err)
	}
	return err
}

// knob is a kernel setting that forbids what we do when it has the value Bad.
type knob struct{ name, bad, fix string }

func knobs() []knob {
	k := []knob{
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	}
	for _, kind := range []string{"user", "net", "mnt", "pid", "ipc", "uts"} {
		k = append(k, knob{"user.max_" + kind + "_namespaces", "0", "10000"})
	}
	return k
}

// cause finds the setting that is to blame. proc is the /proc file system.
func cause(proc fs.FS, no syscall.Errno) string {
	for _, k := range knobs() {
		value, err := fs.ReadFile(proc, "sys/"+strings.ReplaceAll(k.name, ".", "/"))
		if err == nil && strings.TrimSpace(string(value)) == k.bad {
			return fmt.Sprintf("%s is %s; as root: sysctl -w %s=%s", k.name, k.bad, k.name, k.fix)
		}
	}
	switch no {
	case unix.ENOSPC, unix.EUSERS:
		return "too many namespaces in use or too deeply nested; as root: sysctl -w user.max_user_namespaces=10000"
	case unix.EINVAL, unix.ENOSYS:
		return "the kernel lacks them (CONFIG_USER_NS, CONFIG_NET_NS, CONFIG_PID_NS); use --provider kind"
	}
	status, _ := fs.ReadFile(proc, "self/status")
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Seccomp:" && f[1] == "2" {
			return "a seccomp filter is in force; in a container start it with --security-opt seccomp=unconfined"
		}
	}
	return "the kernel or a security module says no; use --provider kind"
}
