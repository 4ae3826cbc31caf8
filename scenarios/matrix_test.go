package scenarios_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// verdictFile is what the last run of the whole catalogue on a mesh saw, a line
// an attempt. The suite holds every run to it, and writes it with -update.
func verdictFile(mesh string) string { return filepath.Join("testdata", "verdicts-"+mesh+".txt") }

func line(scenario, attempt, what string) string {
	return fmt.Sprintf("%s %s: %s", scenario, attempt, what)
}

// verdicts are the lines of a run.
func verdicts(played []scenarios.Scenario, r reports.Run) []string {
	var out []string
	for i, s := range played {
		for j, a := range s.Attempts {
			out = append(out, line(s.ID, a.ID, scenarios.Seen(s, a, r.Mesh, r.Scenarios[i].Attempts[j])))
		}
	}
	return out
}

// expected are the lines of the matrix.
func expected(played []scenarios.Scenario, mesh string) []string {
	var out []string
	for _, row := range scenarios.Matrix(played, mesh) {
		out = append(out, line(row.Scenario, row.Attempt, row.Cells[0].What))
	}
	return out
}

// recorded are the lines of a mesh's file.
func recorded(mesh string) ([]string, error) {
	raw, err := os.ReadFile(verdictFile(mesh))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"), nil
}

// record puts the lines of a run into a mesh's file. What was not played stays
// as it was, and what is in the catalogue no more goes.
func record(mesh string, lines []string) error {
	all, err := scenarios.Catalog()
	if err != nil {
		return err
	}
	old, err := recorded(mesh)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var out []string
	for _, row := range scenarios.Matrix(all) {
		of := func(l string) bool { return strings.HasPrefix(l, line(row.Scenario, row.Attempt, "")) }
		if i := slices.IndexFunc(lines, of); i >= 0 {
			out = append(out, lines[i])
		} else if i := slices.IndexFunc(old, of); i >= 0 {
			out = append(out, old[i])
		}
	}
	return os.WriteFile(verdictFile(mesh), []byte(strings.Join(out, "\n")+"\n"), 0o644)
}

// differences are the lines of want that got lacks, and of got that want lacks.
func differences(want, got []string) string {
	var b strings.Builder
	for _, l := range want {
		if !slices.Contains(got, l) {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			fmt.Fprintf(&b, "+ %s\n", l)
		}
	}
	return b.String()
}

// seeable leaves out what no run can see: that something is not supported where
// nothing was recorded of it.
func seeable(want, seen []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(l string) bool {
		about, unsupported := strings.CutSuffix(l, string(assertions.Unsupported))
		return unsupported && !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, about) })
	})
}

// The matrix that list prints is a promise: every cell was seen in the last run
// on its mesh.
func TestTheMatrixSaysWhatTheLastRunsSaw(t *testing.T) {
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, mesh := range builtin.Names(builtin.Meshes()) {
		t.Run(mesh, func(t *testing.T) {
			seen, err := recorded(mesh)
			if err != nil {
				t.Fatal(err)
			}
			if d := differences(seeable(expected(all, mesh), seen), seen); d != "" {
				t.Errorf("expected (-) and seen (+) differ; go test ./scenarios -run TestScenarios -args -mesh %s; and -update, if the new verdicts are right:\n%s", mesh, d)
			}
		})
	}
}

func TestADifferenceToTheMatrixIsFound(t *testing.T) {
	want := []string{line("a/b", "c", "blocked by target (tls x)"), line("a/b", "d", "gap")}
	for what, got := range map[string][]string{
		"another reason":      {line("a/b", "c", "blocked by target (tls y)"), want[1]},
		"a gap that was shut": {want[0], line("a/b", "d", "blocked by target (tls x)")},
		"not judged":          {want[0]},
		"not in the matrix":   append(slices.Clone(want), line("a/b", "e", "breached")),
	} {
		if differences(want, got) == "" {
			t.Errorf("%s: no difference", what)
		}
	}
	unsupported := line("a/b", "e", "unsupported")
	if d := differences(seeable(append(want, unsupported), want), want); d != "" {
		t.Errorf("what is not supported and was not recorded differs: %s", d)
	}
	won := append(slices.Clone(want), line("a/b", "e", "breached"))
	if differences(seeable(append(want, unsupported), won), won) == "" {
		t.Error("what is not supported and won does not differ")
	}
	if d := differences(want, slices.Clone(want)); d != "" {
		t.Errorf("the same differs: %s", d)
	}
}
