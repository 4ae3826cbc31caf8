package runner_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// Every known misconfiguration opens exactly the attempts that depend on what it takes
// away. The table is a golden file for every mesh: -mesh names another one than
// envoy, and -update writes it anew.
func TestAMisconfigurationOpensExactlyWhatDependsOnIt(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: make sweep")
	}
	mesh := *meshName
	if mesh == "none" { // where everything is open already
		mesh = "envoy"
	}
	o := options(t, mesh)
	o.Parallel = 4 // most of it is waiting
	o.Scenarios = slices.DeleteFunc(o.Scenarios, func(s scenarios.Scenario) bool { return len(s.Attempts) == 0 })
	opens, err := runner.Openings(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(opens)) {
		fmt.Fprintf(&b, "%s\n", name)
		for _, attempt := range opens[name] {
			fmt.Fprintf(&b, "  %s\n", attempt)
		}
	}
	golden := filepath.Join("testdata", "openings-"+mesh+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("opens:\n%s\nwant:\n%s", b.String(), want)
	}
}
