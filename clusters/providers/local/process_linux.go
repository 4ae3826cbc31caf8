package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// process is a program in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // written before done is closed
}

var _ clusters.Process = (*process)(nil)

func (p *process) Pid() int              { return p.cmd.Process.Pid }
func (p *process) Done() <-chan struct{} { return p.done }

// Err says how the process ended, nil while it runs.
func (p *process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// launch says what to start where.
type launch struct {
	what    string // for errors
	command []string
	env     []string
	stdin   *os.File
	stdout  *os.File // nil: the log as well
	dir     string   // ours when empty
	log     string
	spaces  uintptr // clone flags
	user    int     // ours when zero
}

// handed is the launch for another user than us. The program, its folder and
// its log are the harness's; that it may use them is less than it may as one of
// us, which is everything. It may only after the first program has begun, so
// that is a shell.
func (l launch) handed() launch {
	const within = `cd "$0" && exec "$@"`
	l.command = append([]string{"/bin/sh", "-c", within, cmp.Or(l.dir, ".")}, l.command...)
	l.dir = ""
	return l
}

// start starts a program in the namespace s. Its standard error goes to the
// log.
func start(s *space, l launch) (*process, error) {
	if len(l.command) == 0 {
		return nil, fmt.Errorf("start %s: no command", l.what)
	}
	log, err := newJournal(l.log)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", l.what, err)
	}
	if l.user != 0 {
		l = l.handed()
	}
	cmd := exec.Command(l.command[0], l.command[1:]...)
	cmd.Env = l.env
	cmd.Dir = l.dir
	cmd.Stdin = l.stdin
	cmd.Stdout, cmd.Stderr = log, log
	if l.stdout != nil {
		cmd.Stdout = l.stdout
	}
	// A child that outlives the program may hold its log open.
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: l.spaces}
	if l.user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(l.user), Gid: uint32(l.user)}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_DAC_OVERRIDE}
	}
	if err := s.do(cmd.Start); err != nil {
		if l.user != 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)) {
			err = fmt.Errorf("as user %d, which exists only for root: %w", l.user, err)
		}
		return nil, errors.Join(fmt.Errorf("start %s: %w", l.what, err), log.Close())
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("exit status 0")
		}
		p.err = fmt.Errorf("%s ended: %w", l.what, errors.Join(err, log.Close()))
		close(p.done)
	}()
	return p, nil
}

// signal reaches the whole group: a proxy may be a program that runs another.
func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return p.err
	default:
		return unix.Kill(-p.Pid(), s)
	}
}

// fault does something bad to the group.
func (p *process) fault(f clusters.Fault) error {
	switch f {
	case clusters.FaultKill:
		return p.signal(unix.SIGKILL)
	case clusters.FaultHang:
		return p.hang()
	case clusters.FaultResume:
		return p.signal(unix.SIGCONT)
	default:
		return errors.New("no such fault")
	}
}

// hang stops the group and waits until the process has stopped or ended: a
// thread on another processor would answer for a moment more.
func (p *process) hang() error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	for {
		// What is seen here stays to be seen by whoever waits for the end.
		err := unix.Waitid(unix.P_PID, p.Pid(), nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// kill ends the group and waits until the process is gone.
func (p *process) kill(ctx context.Context) error {
	if err := p.signal(unix.SIGKILL); err != nil && p.Err() == nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.Pid(), err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", p.Pid(), ctx.Err())
	}
}
