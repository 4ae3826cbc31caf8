package local

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A space is a network namespace that lives as long as its file is open or a
// process is in it.
type space struct{ file *os.File }

// newSpace makes a network namespace. Nothing in it is up.
func newSpace() (*space, error) {
	var file *os.File
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return refused(fmt.Errorf("make a network namespace: %w", err))
		}
		// By thread-self and not by number: an old /proc counts processes
		// differently than we do.
		if file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("hold a network namespace: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &space{file: file}, nil
}

// do runs fn on a thread that is in the namespace. Sockets that fn opens and
// processes that it starts stay there.
func (s *space) do(fn func() error) error {
	return onThread(func() error {
		if err := netns.Set(netns.NsHandle(s.file.Fd())); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return fn()
	})
}

func (s *space) close() error {
	if err := s.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// onThread runs fn on a thread of its own. The thread changes its namespace,
// so it is thrown away: a goroutine that ends locked takes it along.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- fn()
	}()
	return <-done
}
