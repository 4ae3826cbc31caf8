//go:build unix

package consul

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openPipe makes a named pipe and keeps both of its ends, so that no writer
// waits for a reader and none ends it. Proxies write their logs into it:
// nothing has to be looked for in a file that grows.
func openPipe(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make the pipe %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open the pipe: %w", err)
	}
	return f, nil
}
