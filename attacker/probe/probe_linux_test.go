package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// asProbe in the environment makes the test binary be the probe.
const asProbe = "MESHBREACH_TEST_AS_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(asProbe) != "" {
		if err := Run(context.Background(), os.Args, Options{Attacks: append(attacks.Catalog(), callTwice())}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// callTwice is an attack that no catalogue has.
func callTwice() attacker.Attack {
	type params struct {
		Address string `json:"address"`
	}
	return attacker.New("call-twice", "Call twice", "Calls an address, and then calls it again.",
		func(ctx context.Context, f attacker.Foothold, _ attacker.Target, nonce func() string, p params, emit func(attacker.Observation)) error {
			for range 2 {
				emit(f.Request(ctx, attacker.Request{Nonce: nonce(), Address: p.Address}))
			}
			return nil
		})
}

func TestAProbeMakesAttacksThatItsMainBroughtAlong(t *testing.T) {
	a, address := serving(t)
	c, _, _ := probe(t, false)
	raw, err := json.Marshal(map[string]string{"address": address})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	err = c.Try(within(t), session.Attempt{Attack: "call-twice", Prefix: "n", Params: raw}, func(o attacker.Observation) { seen = append(seen, o.Nonce) })
	if err != nil || !slices.Equal(seen, []string{"n-1", "n-2"}) || len(a.Receipts(0, 0).Items) != 2 {
		t.Errorf("saw %q with %d receipts: %v", seen, len(a.Receipts(0, 0).Items), err)
	}
	err = c.Try(within(t), session.Attempt{Attack: "call-thrice"}, func(attacker.Observation) {})
	if err == nil || !strings.Contains(err.Error(), `knows no attack "call-thrice"`) {
		t.Errorf("an attack that it was not built with: %v", err)
	}
}

type pipes struct {
	io.Reader
	io.WriteCloser
}

// probe starts one; namespaced puts it where the provider does.
func probe(t *testing.T, namespaced bool, args ...string) (*session.Client, *exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = []string{asProbe + "=1"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if namespaced {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("user namespaces are forbidden here: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	c := session.Connect(pipes{out, in})
	t.Cleanup(func() {
		_ = c.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("probe: %v\n%s", err, stderr.String())
		}
	})
	return c, cmd, &stderr
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// status reads the lines of /proc/PID/status of every thread.
func status(t *testing.T, pid int) []map[string]string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []map[string]string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // a thread that has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.TrimSpace(value)
		}
		all = append(all, fields)
	}
	return all
}

func TestARestrictedProbeHasNoCapabilitiesAndDoesNotSeeWhatIsHidden(t *testing.T) {
	secret := t.TempDir()
	if err := os.WriteFile(filepath.Join(secret, "key.pem"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	c, cmd, stderr := probe(t, true, "-hide", secret, "-hide", other)
	h, err := c.Hello(within(t))
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if h.Pid != 1 {
		t.Errorf("pid %d in its own namespace", h.Pid)
	}
	for _, thread := range status(t, cmd.Process.Pid) {
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			if strings.Trim(thread[set], "0") != "" {
				t.Errorf("%s of thread %s is %s", set, thread["Pid"], thread[set])
			}
		}
		if thread["NoNewPrivs"] != "1" {
			t.Errorf("NoNewPrivs of thread %s is %q", thread["Pid"], thread["NoNewPrivs"])
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{secret, other} {
		if !strings.Contains(string(mounts), "tmpfs "+path+" tmpfs ro,") {
			t.Errorf("%s is not covered:\n%s", path, mounts)
		}
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s/key.pem", cmd.Process.Pid, secret)); err == nil {
		t.Error("the probe sees the key")
	}
	if _, err := os.Stat(filepath.Join(secret, "key.pem")); err != nil {
		t.Errorf("and the others do not: %v", err)
	}
}

func TestAProbeServesASessionOnItsStandardStreams(t *testing.T) {
	c, _, stderr := probe(t, false)
	h, err := c.Hello(within(t))
	if err != nil || h.Epoch == "" {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	o, err := c.Request(within(t), attacker.Request{Nonce: "n", Address: "127.0.0.1:1"})
	if err != nil || o.Refusal == nil {
		t.Errorf("%+v %v", o, err)
	}
}

func TestAProbeThatCannotHideDoesNotServe(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-hide", filepath.Join(t.TempDir(), "nowhere"))
	cmd.Env = []string{asProbe + "=1"}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "hide") && !strings.Contains(string(out), "mount namespace") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAProbeEndsWithASignal(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{asProbe + "=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := session.Connect(pipes{out, in})
	if _, err := c.Hello(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-c.Ended()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
