package leftovers_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

const nobody = 65534

// caller is somebody who runs the harness.
type caller struct {
	name string
	attr *syscall.SysProcAttr
}

// callers are we, and an ordinary user where we may become one.
func callers() []caller {
	all := []caller{{fmt.Sprintf("user %d", os.Geteuid()), nil}}
	if os.Geteuid() == 0 {
		all = append(all, caller{"an ordinary user", &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		}})
	}
	return all
}

// harness is a running harness: the outer process and what it says.
type harness struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
	own   string // the only folder that is its own
}

func begin(t *testing.T, c caller, args ...string) harness {
	t.Helper()
	own, self := folder(t)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+own, "HOME="+own)
	cmd.Dir = own
	cmd.SysProcAttr = c.attr
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // for a test that failed; else it has ended
		_ = cmd.Wait()
	})
	return harness{cmd, bufio.NewReader(out), own}
}

// folder makes a folder that everybody may use, with a copy of the test
// binary that everybody may run.
func folder(t *testing.T) (own, self string) {
	t.Helper()
	own, err := os.MkdirTemp("", "leftovers") //nolint:usetesting // its parents are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(own) })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	self = filepath.Join(own, "self")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(own, 0o777); err != nil {
		t.Fatal(err)
	}
	return own, self
}

func (h harness) says(t *testing.T, want string) {
	t.Helper()
	line, err := h.lines.ReadString('\n')
	if strings.TrimSpace(line) != want {
		t.Fatalf("the harness says %q, %v; want %q", line, err, want)
	}
}

// end waits for the outer process and returns its exit code, -1 for a signal.
func (h harness) end(t *testing.T) int {
	t.Helper()
	hung := time.AfterFunc(10*time.Second, func() {
		t.Error("the outer process does not end")
		_ = h.cmd.Process.Kill()
	})
	defer hung.Stop()
	_ = h.cmd.Wait() // the code says it all
	return h.cmd.ProcessState.ExitCode()
}

// bury ends what a failed test found alive.
func bury(ps []proc) {
	for _, p := range alive(ps) {
		_ = unix.Kill(p.pid, unix.SIGKILL)
	}
}

func TestNothingRemainsOfAClusterWhateverEndsIt(t *testing.T) {
	outer := func(ps []proc) int { return ps[0].pid }
	inner := func(ps []proc) int { return ps[1].pid }
	for _, who := range callers() {
		for _, end := range []struct {
			name   string
			signal syscall.Signal
			whom   func([]proc) int
			code   int
		}{
			{"kill -9 of the outer process", unix.SIGKILL, outer, -1},
			{"kill -9 of the inner process", unix.SIGKILL, inner, 137},
			{"SIGTERM", unix.SIGTERM, outer, 0},
			{"SIGINT", unix.SIGINT, outer, 0},
			{"a lost terminal", unix.SIGHUP, outer, -1},
		} {
			t.Run(end.name+" by "+who.name, func(t *testing.T) {
				name := fmt.Sprintf("leftover%d", os.Getpid())
				before := trace(t, name, "/nonexistent")
				h := begin(t, who, "cluster", name)
				h.says(t, "ready")
				ps := family(t, h.cmd.Process.Pid)
				t.Cleanup(func() { bury(ps) })
				// Outer, inner, a probe each, a proxy for each of the meshed.
				want := 2
				for _, m := range clusters.Cast() {
					want++
					if m.Meshed {
						want++
					}
				}
				if len(ps) != want {
					t.Fatalf("%d processes, want %d: %v", len(ps), want, ps)
				}
				if during := trace(t, name, "/nonexistent"); !reflect.DeepEqual(during, before) {
					t.Errorf("while it is up the host has %+v, before %+v", during, before)
				}
				if err := unix.Kill(end.whom(ps), end.signal); err != nil {
					t.Fatal(err)
				}
				if code := h.end(t); code != end.code {
					t.Errorf("exit code %d, want %d", code, end.code)
				}
				until(t, "all processes are gone", func() bool { return len(alive(ps)) == 0 })
				after := trace(t, name, h.own)
				if got, want := after.files, []string{h.own, filepath.Join(h.own, "self")}; !reflect.DeepEqual(got, want) {
					t.Errorf("files %v, want %v", got, want)
				}
				after.files = before.files
				if !reflect.DeepEqual(after, before) {
					t.Errorf("the host has %+v, before %+v", after, before)
				}
			})
		}
	}
}

func TestTheThirdSignalEndsAHarnessThatDoesNotListen(t *testing.T) {
	h := begin(t, callers()[0], "stubborn")
	h.says(t, "ready")
	ps := family(t, h.cmd.Process.Pid)
	t.Cleanup(func() { bury(ps) })
	for range 2 {
		if err := h.cmd.Process.Signal(unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		h.says(t, "got interrupt")
	}
	if left := alive(ps); len(left) != len(ps) {
		t.Fatalf("only %v live after two signals", left)
	}
	if err := h.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := h.end(t); code != 137 {
		t.Errorf("exit code %d, want 137", code)
	}
	until(t, "all processes are gone", func() bool { return len(alive(ps)) == 0 })
}

func TestAClusterNeedsNoProcOfItsOwn(t *testing.T) {
	h := begin(t, caller{attr: &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}}, "masked", "masked")
	h.says(t, "with the outside's /proc")
	h.says(t, "ready")
	ps := family(t, h.cmd.Process.Pid)
	t.Cleanup(func() { bury(ps) })
	if err := h.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := h.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	until(t, "all processes are gone", func() bool { return len(alive(ps)) == 0 })
}
