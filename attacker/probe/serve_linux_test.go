package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// contained starts a probe as the first process of a container would be; the
// shell command before it leaves it children, if any.
func contained(t *testing.T, before string) (socket string, cmd *exec.Cmd) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "probe.sock")
	cmd = exec.Command("/bin/sh", "-c", before+` exec "$0" -serve "$1"`, os.Args[0], socket)
	cmd.Env = []string{asProbe + "=1", "PATH=" + os.Getenv("PATH")}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("user namespaces are forbidden here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("probe: %v\n%s", err, stderr.String())
		}
		if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	return socket, cmd
}

// relayed is a session through a relay of its own.
func relayed(t *testing.T, socket string) *session.Client {
	t.Helper()
	c, _, _ := probe(t, false, "-relay", socket)
	return c
}

// loadd makes the probe send itself honest load that does not end by itself,
// and returns the port that it serves.
func loadd(t *testing.T, c *session.Client) (*session.Load, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	if err := c.Serve(within(t), []attacker.Listen{{Port: port, Protocol: "http"}}); err != nil {
		t.Fatal(err)
	}
	request := attacker.Request{Nonce: "load", Address: fmt.Sprintf("127.0.0.1:%d", port)}
	p, err := c.StartLoad(within(t), attacker.Load{Rate: 500, Request: request})
	if err != nil {
		t.Fatal(err)
	}
	for last(t, c) < 10 {
		if t.Failed() {
			t.FailNow()
		}
	}
	return p, port
}

func last(t *testing.T, c *session.Client) uint64 {
	t.Helper()
	r, err := c.Receipts(within(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r.Last
}

// quiet is an error of the test when anything but our own requests still arrives.
func quiet(t *testing.T, c *session.Client, port int) {
	t.Helper()
	before := last(t, c)
	var requests uint64
	for until := time.Now().Add(200 * time.Millisecond); time.Now().Before(until); requests++ {
		o, err := c.Request(within(t), attacker.Request{Nonce: "mine", Address: fmt.Sprintf("127.0.0.1:%d", port)})
		if err != nil || o.Reply == nil {
			t.Fatalf("%+v %v", o, err)
		}
	}
	if after := last(t, c); after != before+requests {
		t.Errorf("%d receipts for %d requests: what the cut session started goes on", after-before, requests)
	}
}

func TestARelayThatIsCutAndReplacedFindsTheSameReceipts(t *testing.T) {
	socket, _ := contained(t, "")
	first := exec.Command(os.Args[0], "-relay", socket)
	first.Env = []string{asProbe + "=1"}
	in, err := first.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	c := session.Connect(pipes{out, in})
	hello, err := c.Hello(within(t))
	if err != nil || hello.Pid != 1 {
		t.Fatalf("%+v %v", hello, err)
	}
	load, port := loadd(t, c)
	attempt, err := c.Start(within(t), session.Attempt{
		Attack: "hold-connection", Foothold: "thief", Prefix: "held",
		Target: attacker.Target{Workload: "bank", Address: "127.0.0.1"},
		Params: json.RawMessage(fmt.Sprintf(`{"request": "GET /", "every": "10ms", "port": %d}`, port)),
	}, func(attacker.Observation) {})
	if err != nil {
		t.Fatal(err)
	}
	receipts := last(t, c)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := attempt.Wait(within(t)); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the attempt: %v", err)
	}
	if _, err := load.Stop(within(t)); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the load: %v", err)
	}
	_ = first.Wait()

	again := relayed(t, socket)
	if h, err := again.Hello(within(t)); err != nil || h.Epoch != hello.Epoch {
		t.Fatalf("%+v %v, was %+v", h, err, hello)
	}
	if got := last(t, again); got < receipts {
		t.Errorf("%d receipts, were %d", got, receipts)
	}
	quiet(t, again, port)
}

func TestANewRelayEndsTheSessionBeforeIt(t *testing.T) {
	socket, _ := contained(t, "")
	old := relayed(t, socket)
	hello, err := old.Hello(within(t))
	if err != nil {
		t.Fatal(err)
	}
	_, port := loadd(t, old)
	taken := relayed(t, socket)
	if h, err := taken.Hello(within(t)); err != nil || h.Epoch != hello.Epoch {
		t.Fatalf("%+v %v", h, err)
	}
	select {
	case <-old.Ended(): // its relay has gone by itself
	case <-within(t).Done():
		t.Fatal("the old session goes on")
	}
	quiet(t, taken, port)
}

func TestARelayWaitsForAProbeThatStarts(t *testing.T) {
	socket, _ := contained(t, "sleep 0.3;")
	c := relayed(t, socket)
	if _, err := c.Hello(within(t)); err != nil {
		t.Error(err)
	}
}

func TestAProbeTakesThePlaceOfOneThatWasKilled(t *testing.T) {
	socket, _ := contained(t, `ln -s nowhere "$1";`)
	c := relayed(t, socket)
	if _, err := c.Hello(within(t)); err != nil {
		t.Error(err)
	}
}

func TestTheFirstProcessBuriesItsChildren(t *testing.T) {
	socket, cmd := contained(t, "sleep 0.2 &")
	if len(children(t, cmd.Process.Pid)) == 0 {
		// The shell may not have come to it yet; then the session has.
		c := relayed(t, socket)
		if _, err := c.Hello(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	end := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := children(t, cmd.Process.Pid)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still there: %q", left)
		}
	}
}

// children are the lines of /proc/PID/stat of a process's children.
func children(t *testing.T, pid int) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == fmt.Sprint(pid) {
			all = append(all, string(text))
		}
	}
	return all
}
