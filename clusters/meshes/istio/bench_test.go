package istio

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// BenchmarkUp is what a mesh of one range costs: time, and the memory of every
// process.
func BenchmarkUp(b *testing.B) {
	for b.Loop() {
		bed, err := newBed(Mesh{}, release(b), "bench", 1)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(bed.Took.Seconds(), "up-s")
		for _, s := range bed.mesh.spent.list() {
			b.Logf("%-12s %s", s.what, s.took.Round(time.Millisecond))
		}
		for _, m := range memory(b) {
			b.Log(m)
		}
		if err := bed.Undo.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSettle is a change of one rule with nothing open.
func BenchmarkSettle(b *testing.B) {
	bed, err := newBed(Mesh{}, release(b), "bench", 1)
	if err != nil {
		b.Fatal(err)
	}
	open, shut := meshtest.Friendly(), meshtest.Friendly()
	open.Allow[0].From = []string{policy.Anyone}
	for i := 0; b.Loop(); i++ {
		p := open
		if i%2 == 0 {
			p = shut
		}
		bed.Apply(b, p)
	}
	if err := bed.Undo.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// memory is the resident memory of all processes, by program, largest first.
func memory(t testing.TB) []string {
	t.Helper()
	status, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	sum, count := map[string]int{}, map[string]int{}
	for _, path := range status {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		var name string
		for line := range strings.Lines(string(raw)) {
			key, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if key == "Name" {
				name = value
			}
			if kb, ok := strings.CutSuffix(value, " kB"); ok && key == "VmRSS" {
				n, _ := strconv.Atoi(kb)
				sum[name] += n
				count[name]++
			}
		}
	}
	var names []string
	for name := range sum {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(sum[b], sum[a]) })
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%-16s %2d  %4d MB", name, count[name], sum[name]>>10))
	}
	return out
}
