package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// needProc skips where /proc is still the one of the outside, as it is when
// parts of it are masked: it numbers processes differently than we do.
func needProc(t *testing.T) {
	t.Helper()
	if self, err := os.Readlink("/proc/self"); err != nil || self != fmt.Sprint(os.Getpid()) {
		t.Skipf("/proc says we are process %q, %v", self, err)
	}
}

// state is the one-letter state of a process, empty when it is gone.
func state(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(raw), ") ")
	return after[:1]
}

func TestAProxyHangsResumesAndDies(t *testing.T) {
	needProc(t)
	s := up(t, "proxyfault", 1)
	web := s.workload(0, "web")
	p := s.proxied(web)
	fault := func(f clusters.Fault) {
		t.Helper()
		if err := whole(s.Host).Fault(t.Context(), web, clusters.PartProxy, f); err != nil {
			t.Fatal(err)
		}
	}
	if p.Err() != nil {
		t.Fatalf("runs and has ended: %v", p.Err())
	}
	fault(clusters.FaultHang)
	until(t, "it stopped", func() bool { return state(p.Pid()) == "T" })
	fault(clusters.FaultResume)
	until(t, "it goes on", func() bool { return state(p.Pid()) != "T" })
	fault(clusters.FaultKill)
	<-p.Done()
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("ended with %v", err)
	}
	if err := whole(s.Host).Fault(t.Context(), web, clusters.PartProxy, clusters.FaultKill); err == nil {
		t.Error("a dead proxy was killed again")
	}
	if err := whole(s.Host).Fault(t.Context(), s.workload(0, "bank"), clusters.PartProxy, clusters.FaultKill); err == nil {
		t.Error("a proxy that never was got killed")
	}
}

func TestAProbeThatDiesEndsItsStream(t *testing.T) {
	s := up(t, "probefault", 1)
	web := s.workload(0, "web")
	stream, err := s.Host.Stream(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole(s.Host).Fault(t.Context(), web, clusters.PartProbe, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	if n, err := stream.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes from a dead probe", n)
	}
}

func TestAProxyThatEndsWellSaysSo(t *testing.T) {
	s := up(t, "well", 1)
	p, err := whole(s.Host).Sidecar(t.Context(), s.workload(0, "web"), clusters.Sidecar{
		Command: []string{"true"}, Log: filepath.Join(whole(s.Host).Scratch(), "true.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() == nil {
		t.Error("ended without a word")
	}
}

func TestUndoRemovesProcessesAndScratch(t *testing.T) {
	needProc(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Provider{}.Up(t.Context(), clusters.Spec{Name: "undo", Ranges: 1, Probe: self})
	if err != nil {
		t.Fatal(err)
	}
	s := stage{c, t}
	web := s.workload(0, "web")
	p := s.proxied(web)
	if children(t) == 0 {
		t.Fatal("no children: this test sees nothing")
	}
	if err := c.Undo.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Err() == nil || state(p.Pid()) != "" {
		t.Error("the proxy lives on")
	}
	if n := children(t); n != 0 {
		t.Errorf("%d children are left", n)
	}
	if _, err := os.Stat(whole(c.Host).Scratch()); !os.IsNotExist(err) {
		t.Errorf("scratch: %v", err)
	}
	if _, err := whole(c.Host).Sidecar(t.Context(), web, clusters.Sidecar{Command: []string{"true"}}); err == nil {
		t.Error("a sidecar was started in a cluster that is gone")
	}
}

// children counts processes whose parent is this one.
func children(t *testing.T) int {
	t.Helper()
	return len(offspring(t))
}

// offspring lists the processes whose parent is this one.
func offspring(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		pid, number := strconv.Atoi(e.Name())
		if err != nil || number != nil {
			continue // gone, or no process
		}
		_, after, _ := strings.Cut(string(raw), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, pid)
		}
	}
	return found
}

func TestAnUpThatCannotSucceedLeavesNothing(t *testing.T) {
	needProc(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	up(t, "taken", 1)
	before := children(t)
	for name, c := range map[string]struct {
		ctx  context.Context
		spec clusters.Spec
		says string
	}{
		"no probe":       {t.Context(), clusters.Spec{Name: "a", Ranges: 2, Probe: "/no/such/probe"}, "/no/such/probe"},
		"context ended":  {over, clusters.Spec{Name: "a", Ranges: 1, Probe: self}, "canceled"},
		"no ranges":      {t.Context(), clusters.Spec{Name: "a", Probe: self}, "0 ranges"},
		"a name to flee": {t.Context(), clusters.Spec{Name: "../a", Ranges: 1, Probe: self}, "plain word"},
		"no name":        {t.Context(), clusters.Spec{Ranges: 1, Probe: self}, "plain word"},
		"a taken name":   {t.Context(), clusters.Spec{Name: "taken", Ranges: 1, Probe: self}, "exists"},
	} {
		cluster, err := local.Provider{}.Up(c.ctx, c.spec)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", name, err, c.says)
		}
		if cluster != nil {
			t.Errorf("%s: a cluster all the same", name)
		}
	}
	if after := children(t); after != before {
		t.Errorf("%d children, before %d", after, before)
	}
	if left, _ := filepath.Glob("/dev/shm/a*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTheEndOfAContextEndsAnUp(t *testing.T) {
	needProc(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := (local.Provider{}).Up(ctx, clusters.Spec{Name: "many", Ranges: 20, Probe: self}); err == nil {
		t.Fatal("20 ranges in 5 ms")
	}
	if n := children(t); n != 0 {
		t.Errorf("%d children are left", n)
	}
}
