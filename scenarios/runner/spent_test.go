package runner_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// spending is where the benchmarks' time and memory went.
var spending spent

// spent is what runs of the catalogue cost, by scenario and by program.
type spent struct {
	mu    sync.Mutex
	times map[string][]float64  // seconds by scenario
	peaks map[string]programMem // by program
	asked int                   // requests of the platform's API, the most of a run
}

// programMem is the memory of all processes of a program.
type programMem struct {
	processes     int     // most at once
	largest, most float64 // MB: peak of one, and of all that ran at once
}

// took notes how long scenarios took.
func (s *spent) took(r reports.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[string][]float64{}
	}
	for _, sc := range r.Scenarios {
		s.times[sc.ID] = append(s.times[sc.ID], float64(sc.Took))
	}
}

// watch looks at the processes before every attempt: a process that ends before
// the next one is not seen.
func (s *spent) watch(_ context.Context, _ runner.Moment, c *clusters.Cluster, _ clusters.Range) {
	now := map[string]programMem{}
	for name, mb := range processes() {
		m := programMem{processes: len(mb), largest: slices.Max(mb)}
		for _, one := range mb {
			m.most += one
		}
		now[name] = m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := c.Host.(interface{ Requests() int }); ok {
		s.asked = max(s.asked, h.Requests())
	}
	if s.peaks == nil {
		s.peaks = map[string]programMem{}
	}
	for name, m := range now {
		old := s.peaks[name]
		s.peaks[name] = programMem{max(old.processes, m.processes), max(old.largest, m.largest), max(old.most, m.most)}
	}
}

// requests are those that a run made of the platform's API, the most of all runs;
// 0 where nobody counts them.
func (s *spent) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// processes are the peaks of memory, VmHWM in MB, of all processes of the run, by
// program: those of our namespace, which on provider local has no others, or
// else our own and those of the nodes, which have namespaces of their own.
func processes() map[string][]float64 {
	out := map[string][]float64{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		name := program(e.Name())
		if *providerName != builtin.Local && name != harness && within(e.Name()) {
			continue // somebody else's
		}
		mb := peak(e.Name())
		if mb == 0 {
			continue // ended meanwhile
		}
		out[name] = append(out[name], mb)
	}
	return out
}

// harness is what we call ourselves.
const harness = "harness"

// within says whether a process is in our own namespace of processes, as far as
// can be seen.
func within(pid string) bool {
	its, err := os.Readlink("/proc/" + pid + "/ns/pid")
	ours, our := os.Readlink("/proc/self/ns/pid")
	return err != nil || our != nil || its == ours
}

func program(pid string) string {
	if pid == strconv.Itoa(os.Getpid()) {
		return harness
	}
	raw, err := os.ReadFile("/proc/" + pid + "/cmdline")
	first, _, _ := strings.Cut(string(raw), "\x00")
	if err != nil || first == "" {
		return "?"
	}
	return filepath.Base(first)
}

// longest is how many scenarios the table of times names.
const longest = 8

// print prints both tables; nothing measured prints nothing.
func (s *spent) print(w io.Writer) {
	if len(s.times) == 0 {
		return
	}
	median := func(id string) float64 { return quantile(s.times[id], 0.5) }
	ids := slices.SortedFunc(maps.Keys(s.times), func(a, b string) int {
		return cmp.Or(cmp.Compare(median(b), median(a)), cmp.Compare(a, b))
	})
	sum := 0.0
	for _, id := range ids {
		sum += median(id)
	}
	fmt.Fprintf(w, "\nTime, medians; ranges work side by side, so the catalogue takes less than the sum:\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "scenario\ttook\tof all")
	for _, id := range ids[:min(longest, len(ids))] {
		fmt.Fprintf(t, "%s\t%s s\t%.0f %%\n", id, number(median(id)), 100*median(id)/sum)
	}
	fmt.Fprintf(t, "all %d\t%s s\t\n", len(ids), number(sum))
	_ = t.Flush() // as the lines before: to a terminal or a log

	fmt.Fprintf(w, "\nMemory, peaks (VmHWM); pages that processes share are counted in each:\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "program\tprocesses\tlargest\tall at once")
	for _, name := range slices.SortedFunc(maps.Keys(s.peaks), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.peaks[b].most, s.peaks[a].most), cmp.Compare(a, b))
	}) {
		m := s.peaks[name]
		fmt.Fprintf(t, "%s\t%d\t%s MB\t%s MB\n", name, m.processes, number(m.largest), number(m.most))
	}
	_ = t.Flush()
}
