package local_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// stage is a cluster whose probes are stand-ins.
type stage struct {
	*clusters.Cluster
	t testing.TB
}

func up(t testing.TB, name string, ranges int) stage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := local.Provider{}.Up(t.Context(), clusters.Spec{Name: name, Ranges: ranges, Probe: self})
	if err != nil {
		t.Fatal(err)
	}
	undoAtEnd(t, c)
	return stage{c, t}
}

// undoAtEnd takes the cluster back; the context of the test has ended by then.
func undoAtEnd(t testing.TB, c *clusters.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Undo.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func (s stage) workload(r int, name string) clusters.Workload {
	s.t.Helper()
	w, err := s.Ranges[r].Workload(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

// ask gives a stand-in one command and returns its answer.
func (s stage) ask(w clusters.Workload, command ...any) string {
	s.t.Helper()
	stream, err := s.Host.Stream(s.t.Context(), w)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintln(stream, command...); err != nil {
		s.t.Fatal(err)
	}
	line, err := bufio.NewReader(stream).ReadString('\n')
	if err != nil {
		s.t.Fatalf("%s/%s gave no answer to %v: %v", w.Range, w.Name, command, err)
	}
	return strings.TrimSpace(line)
}

// until waits for a fact.
func until(t testing.TB, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second)
	for !fact() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}

func at(w clusters.Workload, port int) string { return fmt.Sprintf("%s:%d", w.Address, port) }

func TestTheCastOfARangeCanReachEachOther(t *testing.T) {
	s := up(t, "cast", 1)
	if got, want := len(s.Ranges[0].Workloads), len(clusters.Cast()); got != want {
		t.Fatalf("%d workloads, want %d", got, want)
	}
	for _, to := range s.Ranges[0].Workloads {
		if got := s.ask(to, "listen", 8080); got != "ok" {
			t.Fatal(got)
		}
		for _, from := range s.Ranges[0].Workloads {
			want := fmt.Sprintf("app 8080 from %s", from.Address)
			if got := s.ask(from, "dial", at(to, 8080)); got != want {
				t.Errorf("%s to %s: %q, want %q", from.Name, to.Name, got, want)
			}
		}
	}
}

func TestRangesCannotReachEachOther(t *testing.T) {
	s := up(t, "ranges", 2)
	bank := s.workload(1, "bank")
	s.ask(bank, "listen", 8080)
	if got := s.ask(s.workload(1, "web"), "dial", at(bank, 8080)); !strings.HasPrefix(got, "app") {
		t.Errorf("control: %s", got)
	}
	if got := s.ask(s.workload(0, "web"), "dial", at(bank, 8080)); !strings.Contains(got, "unreachable") {
		t.Errorf("r1 to r2: %s", got)
	}
	if got, want := bank.ID(), "spiffe://r2.meshbreach.test/ns/prod/sa/bank"; got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}

func TestTwoClustersSideBySideDoNotSeeEachOther(t *testing.T) {
	a, b := up(t, "left", 1), up(t, "right", 1)
	// They use the same addresses, so only who answers tells them apart.
	a.ask(a.workload(0, "bank"), "listen", 8080)
	if got := b.ask(b.workload(0, "web"), "dial", at(b.workload(0, "bank"), 8080)); !strings.Contains(got, "refused") {
		t.Errorf("right reached left: %s", got)
	}
	if whole(a.Host).Scratch() == whole(b.Host).Scratch() {
		t.Error("they share scratch")
	}
	if err := a.Undo.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.ask(b.workload(0, "bank"), "listen", 8080)
	if got := b.ask(b.workload(0, "web"), "dial", at(b.workload(0, "bank"), 8080)); !strings.HasPrefix(got, "app") {
		t.Errorf("the end of left broke right: %s", got)
	}
}

func TestTheHostAndTheHarnessAreOutOfReach(t *testing.T) {
	s := up(t, "host", 1)
	inside, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	go serve(inside, func(c net.Conn) { fmt.Fprintln(c, "harness") })
	if got := dial(inside.Addr().String()); got != "harness" {
		t.Fatalf("control: %s", got)
	}
	targets := append(strings.Fields(os.Getenv(hostVariable)), inside.Addr().String())
	if len(targets) < 2 {
		t.Fatal("the host listens nowhere")
	}
	for _, target := range targets {
		if got := s.ask(s.workload(0, "thief"), "dial", target); !strings.HasPrefix(got, "error") {
			t.Errorf("thief reached %s: %s", target, got)
		}
		if got := dial(target); got == "host" {
			t.Errorf("the harness reached %s", target)
		}
	}
}

func TestAWorkloadHasNoIPv6AddressToSlipPastTheCapture(t *testing.T) {
	s := up(t, "six", 1)
	bank := s.workload(0, "bank")
	got := s.ask(bank, "addresses")
	for _, a := range strings.Fields(strings.Trim(strings.TrimSuffix(got, " <nil>"), "[]")) {
		if a != "127.0.0.1/8" && a != "::1/128" && a != bank.Address.String()+"/24" {
			t.Errorf("bank has %s", a)
		}
	}
	if !strings.Contains(got, bank.Address.String()) {
		t.Errorf("bank has no address of its own: %s", got)
	}
}

func TestAProbeStartsWithNothingOfTheHarness(t *testing.T) {
	s := up(t, "bare", 1)
	root := filepath.Dir(whole(s.Host).Scratch())
	want := fmt.Sprintf("0 1 [-hide %s]", root)
	if got := s.ask(s.workload(0, "thief"), "environment"); got != want {
		t.Errorf("variables, process number and arguments are %q, want %q", got, want)
	}
}

func TestScratchIsPrivateMemory(t *testing.T) {
	s := up(t, "scratch", 1)
	var fs unix.Statfs_t
	if err := unix.Statfs(whole(s.Host).Scratch(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("scratch is on file system %x, want a tmpfs", fs.Type)
	}
	if size := fs.Blocks * uint64(fs.Bsize); size > 1<<30 {
		t.Errorf("scratch may grow to %d bytes", size)
	}
	info, err := os.Stat(whole(s.Host).Scratch())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestAProbeThatShoutsDoesNotFillScratch(t *testing.T) {
	s := up(t, "shout", 1)
	// Kilobytes: four files and a half, so that no file is changed for another
	// while the last of it is still on its way.
	if got := s.ask(s.workload(0, "web"), "shout", 18<<10); got != "done" {
		t.Fatal(got)
	}
	logs, err := filepath.Glob(filepath.Join(whole(s.Host).Scratch(), "r1.web.probe.log*"))
	if err != nil || len(logs) != 2 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	for _, log := range logs {
		if info, err := os.Stat(log); err != nil || info.Size() > 4<<20 {
			t.Errorf("%s: %v, %v", log, info.Size(), err)
		}
	}
}

func BenchmarkUp(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, ranges := range []int{1, 2} {
		b.Run(fmt.Sprintf("ranges=%d", ranges), func(b *testing.B) {
			for b.Loop() {
				c, err := local.Provider{}.Up(b.Context(), clusters.Spec{Name: "bench", Ranges: ranges, Probe: self})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := c.Undo.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
