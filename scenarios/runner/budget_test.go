package runner_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A budget is what a measure must reach. It is printed, and never asserted: a
// busy machine is no bug.
type budget struct {
	what, limit, measured string
	met                   bool
	free                  bool // no budget was set: it is told for comparison
}

// budgets are what the benchmarks measured, in their order.
var budgets []budget

func atMost(what string, measured, limit float64, unit string) {
	budgets = append(budgets, budget{what: what, limit: number(limit) + " " + unit + " or less", measured: number(measured) + " " + unit, met: measured <= limit, free: limit == 0})
}

func atLeast(what string, measured, limit float64) {
	budgets = append(budgets, budget{what: what, limit: number(limit) + " or more", measured: number(measured), met: measured >= limit})
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }

// printBudgets prints the table; nothing measured prints nothing.
func printBudgets(w io.Writer) {
	if len(budgets) == 0 {
		return
	}
	fmt.Fprintf(w, "\nBudgets, on %d cores:\n\n", runtime.NumCPU())
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "measure\tbudget\tmeasured\tmet")
	for _, b := range budgets {
		met := map[bool]string{true: "yes", false: "NO"}[b.met]
		if b.free {
			b.limit, met = "", ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", b.what, b.limit, b.measured, met)
	}
	_ = t.Flush() // as the lines before: to a terminal or a log
}

// quantile is the nearest rank.
func quantile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// peak is the most memory that a process ever had, self for this one, which is
// the harness: VmHWM in MB; 0 where nobody says.
func peak(pid string) float64 {
	raw, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err == nil {
				return kb / 1024
			}
		}
	}
	return 0
}
