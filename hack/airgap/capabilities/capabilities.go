// Package capabilities says what this machine's kernel will not let a process do.
package capabilities

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// names are Linux's capabilities by number (linux/capability.h, 6.18).
const names = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP " +
	"LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER " +
	"SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE " +
	"SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
	"MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"

// Lacking are the capabilities, such as CAP_SYS_RESOURCE, that are not in this
// process's bounding set: no process that it starts can have them.
func Lacking() ([]string, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read this process's capabilities: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	return lacking(f)
}

func lacking(status io.Reader) (missing []string, err error) {
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		digits, ok := strings.CutPrefix(lines.Text(), "CapBnd:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("read this process's bounding set: %w", err)
		}
		for bit, name := range strings.Fields(names) {
			if set&(1<<bit) == 0 {
				missing = append(missing, "CAP_"+name)
			}
		}
		return missing, nil
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read this process's capabilities: %w", err)
	}
	return nil, fmt.Errorf("read this process's capabilities: the kernel says no bounding set")
}
