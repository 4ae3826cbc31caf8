package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// marker is the environment variable that tells the inner process that it
// was started by Reexec. Alone it proves nothing: see Inside.
const marker = "MESHBREACH_INSIDE"

// grace is how long the inner process may take to end after its context did.
const grace = 10 * time.Second

// Inside says whether this process is the inner one that Reexec started. Its
// children inherit the environment but are not process 1, so they are not.
func Inside() bool { return os.Getpid() == 1 && os.Getenv(marker) == "1" }

// Reexec runs this program again with args in new user, network, mount, PID,
// IPC and UTS namespaces, with our standard streams, and returns its exit
// code: 128 and the signal's number when a signal ended it. env is added to
// our environment, "name=value".
//
// The inner process is process 1 of its namespaces and dies with this one.
// SIGINT and SIGTERM are forwarded to it; the third of them kills it. When
// ctx ends it gets SIGTERM, and is killed 10 s later. It is in a process
// group of its own, so it must not read from a terminal.
//
// An error means that it could not be started; see ErrForbidden.
func Reexec(ctx context.Context, args []string, env ...string) (int, error) {
	maps, err := ownMaps()
	if err != nil {
		return 2, err
	}
	// The parent-death signal is sent when the thread that forked dies.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(append(os.Environ(), env...), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
			unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		UidMappings:                maps.uids,
		GidMappings:                maps.gids,
		GidMappingsEnableSetgroups: maps.setgroups,
		Pdeathsig:                  unix.SIGKILL,
		Setpgid:                    true,
	}

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 2, refused(fmt.Errorf("enter namespaces: %w", err))
	}
	ended := make(chan struct{})
	go forward(signals, cmd.Process, ended)
	err = cmd.Wait()
	close(ended)
	return exitCode(cmd.ProcessState, err)
}

// forward passes signals on until the process has ended. The third kills: who
// asks three times does not want to wait for an undo.
func forward(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-ended:
			return
		case s := <-signals:
			if n >= 3 {
				s = unix.SIGKILL
			}
			// The process may have ended just now; then there is nobody to tell.
			_ = p.Signal(s)
		}
	}
}

func exitCode(state *os.ProcessState, err error) (int, error) {
	if state == nil {
		return 2, fmt.Errorf("wait for the inner process: %w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// Main is for TestMain: it runs the test binary again inside, prepares the
// inside and calls run there. It returns the exit code.
//
//	func TestMain(m *testing.M) { os.Exit(local.Main(m.Run)) }
func Main(run func() int) int {
	if !Inside() {
		code, err := Reexec(context.Background(), os.Args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	}
	if err := Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return run()
}
