package runner_test

import (
	"encoding/json"
	"errors"
	"flag"
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
	"github.com/meshbreach/meshbreach/scenarios/explain"
)

// stored is a report whose verdicts are held to the matrix.
var stored = flag.String("report", "", "a report.json, for TestAStoredRunSawWhatTheMatrixSays")

// verdictFile is what the last runs on a mesh saw, a line an attempt: those on
// provider local, or on another one. The suite, and a stored run, write it with
// -update.
func verdictFile(mesh, provider string) string {
	if provider == "local" {
		return filepath.Join("testdata", "verdicts-"+mesh+".txt")
	}
	return filepath.Join("testdata", "verdicts-"+mesh+"-"+provider+".txt")
}

func line(scenario, attempt, what string) string {
	return fmt.Sprintf("%s %s: %s", scenario, attempt, what)
}

// seen is the verdict about an attempt of a scenario, in the words of a mesh's
// cell: what was expected was seen when the two are the same.
func seen(s scenarios.Scenario, a scenarios.Attempt, mesh string, got reports.Attempt) string {
	if got.Verdict != string(assertions.Blocked) {
		switch {
		case got.Outcome == string(assertions.Gap):
			return assertions.Expectation{Gap: true}.String()
		case got.Outcome == string(assertions.KnownCVE) && got.Alert == "" && a.Expect[mesh].Alert != "":
			return got.Outcome + ", undetected"
		case got.Outcome == string(assertions.KnownCVE):
			return got.Outcome
		}
		return got.Verdict
	}
	by := got.By
	switch by {
	case s.Cast.Target:
		by = "target"
	case s.From(a):
		by = "source"
	}
	reason := got.Reason
	// A refusal in the words of who was called names the caller as well.
	if named := a.Expect[mesh].Reason; by == assertions.SidePeer && named != "" && strings.HasPrefix(reason, named) {
		reason = named
	}
	return fmt.Sprint(assertions.Expectation{Verdict: assertions.Blocked, By: by, Layer: got.Layer, Reason: reason})
}

// verdicts are the lines of a run.
func verdicts(played []scenarios.Scenario, r reports.Run) []string {
	var out []string
	for i, s := range played {
		for j, a := range s.Attempts {
			out = append(out, line(s.ID, a.ID, seen(s, a, r.Mesh, r.Scenarios[i].Attempts[j])))
		}
	}
	return out
}

// expected are the lines of the matrix.
func expected(played []scenarios.Scenario, mesh string) []string {
	var out []string
	for _, row := range explain.Matrix(played, mesh) {
		out = append(out, line(row.Scenario, row.Attempt, row.Cells[0].What))
	}
	return out
}

// recorded are the lines of a mesh's file; none where there is no file.
func recorded(mesh, provider string) ([]string, error) {
	raw, err := os.ReadFile(verdictFile(mesh, provider))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n"), nil
}

// record puts the lines of a run into a mesh's file. What was not played stays
// as it was, and what is in the catalogue no more goes.
func record(mesh, provider string, lines []string) error {
	all, err := scenarios.Catalog()
	if err != nil {
		return err
	}
	old, err := recorded(mesh, provider)
	if err != nil {
		return err
	}
	var out []string
	for _, row := range explain.Matrix(all) {
		of := func(l string) bool { return strings.HasPrefix(l, line(row.Scenario, row.Attempt, "")) }
		if i := slices.IndexFunc(lines, of); i >= 0 {
			out = append(out, lines[i])
		} else if i := slices.IndexFunc(old, of); i >= 0 {
			out = append(out, old[i])
		}
	}
	return os.WriteFile(verdictFile(mesh, provider), []byte(strings.Join(out, "\n")+"\n"), 0o644)
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

// held are the differences between what is expected and what was seen on any
// provider. Nothing has to be seen of what is not supported; and what one place
// cannot show, another may.
func held(want []string, seen ...[]string) string {
	var all []string
	for _, lines := range seen {
		all = append(all, lines...)
	}
	in := func(lines []string, about string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, about) })
	}
	got := slices.DeleteFunc(slices.Clone(all), func(l string) bool {
		about, unsupported := strings.CutSuffix(l, string(assertions.Unsupported))
		return unsupported && slices.ContainsFunc(want, func(w string) bool { return w != l && strings.HasPrefix(w, about) && slices.Contains(all, w) })
	})
	want = slices.DeleteFunc(slices.Clone(want), func(w string) bool {
		about, unsupported := strings.CutSuffix(w, string(assertions.Unsupported))
		return unsupported && !in(all, about)
	})
	return differences(want, got)
}

// The matrix that list prints is a promise: every cell was seen in the last run
// on its mesh, on some provider.
func TestTheMatrixSaysWhatTheLastRunsSaw(t *testing.T) {
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	for _, mesh := range builtin.MeshNames() {
		t.Run(mesh, func(t *testing.T) {
			var seen [][]string
			for _, provider := range []string{"local", "kind"} {
				lines, err := recorded(mesh, provider)
				if err != nil {
					t.Fatal(err)
				}
				seen = append(seen, lines)
			}
			if d := held(expected(all, mesh), seen...); d != "" {
				t.Errorf("expected (-) and seen (+) differ; go test ./scenarios -run TestScenarios -args -mesh %s; and -update, if the new verdicts are right:\n%s", mesh, d)
			}
		})
	}
}

// A run of the command line is held to the matrix by its report: for providers
// that the suite cannot make.
func TestAStoredRunSawWhatTheMatrixSays(t *testing.T) {
	if *stored == "" {
		t.Skip("-report names none")
	}
	raw, err := os.ReadFile(*stored)
	if err != nil {
		t.Fatal(err)
	}
	var r reports.Run
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, s := range r.Scenarios {
		ids = append(ids, s.ID)
	}
	played, err := scenarios.Rules{}.Pick(ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range played {
		if len(r.Scenarios) != len(played) || r.Scenarios[i].ID != s.ID || len(r.Scenarios[i].Attempts) != len(s.Attempts) {
			t.Fatalf("the report is not of the catalogue as it is: %s", s.ID)
		}
	}
	seen := verdicts(played, r)
	if *update {
		if err := record(r.Mesh, r.Provider, seen); err != nil {
			t.Fatal(err)
		}
	}
	want := expected(played, r.Mesh)
	for i, l := range seen {
		if l != want[i] && !strings.HasSuffix(l, ": "+string(assertions.Unsupported)) {
			t.Errorf("expected %s\nseen %s", want[i], l)
		}
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
	if d := differences(want, slices.Clone(want)); d != "" {
		t.Errorf("the same differs: %s", d)
	}
}

func TestWhatOnePlaceCannotShowAnotherMay(t *testing.T) {
	blocked, gap := line("a/b", "c", "blocked by target (tls x)"), line("a/b", "d", "gap")
	not := line("a/b", "c", "unsupported")
	want := []string{blocked, gap}
	for what, c := range map[string]struct {
		want  []string
		seen  [][]string
		holds bool
	}{
		"seen in one place":                     {want, [][]string{{blocked, gap}}, true},
		"each in another place":                 {want, [][]string{{not, gap}, {blocked}}, true},
		"seen in no place":                      {want, [][]string{{not, gap}, {not, gap}}, false},
		"something else in one place":           {want, [][]string{{blocked, gap}, {line("a/b", "c", "breached")}}, false},
		"unsupported and never tried":           {[]string{not, gap}, [][]string{{gap}}, true},
		"unsupported, and it won":               {[]string{not, gap}, [][]string{{line("a/b", "c", "breached"), gap}}, false},
		"unsupported, as was seen":              {[]string{not, gap}, [][]string{{not, gap}}, true},
		"never run":                             {want, nil, false},
		"what is in the catalogue no more goes": {[]string{gap}, [][]string{{blocked, gap}}, false},
	} {
		if d := held(c.want, c.seen...); (d == "") != c.holds {
			t.Errorf("%s: holds %t, want %t: %s", what, d == "", c.holds, d)
		}
	}
}
