package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

// accepted is an error where our own parser takes no such command line. It
// runs nothing.
func accepted(words []string) error {
	root := newRoot()
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if !cmd.HasParent() {
		return fmt.Errorf("%q names no verb", words)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// variable is what a matrix fills in, on GitHub and on GitLab.
var variable = regexp.MustCompile(`\$\{\{ *matrix\.([a-z-]+) *\}\}|\$([A-Z_]+)`)

// filled are a command line's words, once for every value of each variable of
// the matrix in it. An unknown variable is an error of the file.
func filled(t *testing.T, line string, matrix map[string]any) [][]string {
	t.Helper()
	m := variable.FindStringSubmatch(line)
	if m == nil {
		return [][]string{strings.Fields(line)}
	}
	values, ok := matrix[m[1]+m[2]].([]any)
	if !ok {
		t.Fatalf("%s: the matrix has no %s: %v", line, m[1]+m[2], slices.Sorted(maps.Keys(matrix)))
	}
	var out [][]string
	for _, v := range values {
		out = append(out, filled(t, strings.ReplaceAll(line, m[0], v.(string)), matrix)...)
	}
	return out
}

// ours are the command lines of a job that our parser has to take: those of
// meshbreach, and those that make would run of it.
func ours(t *testing.T, lines []string, matrix map[string]any) [][]string {
	t.Helper()
	var out [][]string
	for _, line := range lines {
		first, _, _ := strings.Cut(line, " ")
		switch filepath.Base(first) {
		case "meshbreach":
			out = append(out, filled(t, line, matrix)...)
		case "make":
			for _, words := range filled(t, line, matrix) {
				out = append(out, made(t, words[1:])...)
			}
		}
	}
	return out
}

// made are the command lines of meshbreach that make would run.
func made(t *testing.T, args []string) [][]string {
	t.Helper()
	printed, err := exec.Command("make", append([]string{"-C", "../..", "--no-print-directory", "-n"}, args...)...).Output()
	if err != nil {
		t.Fatalf("make -n %q: %v", args, err)
	}
	var out [][]string
	for line := range strings.Lines(string(printed)) {
		if _, after, ok := strings.Cut(line, "bin/meshbreach "); ok {
			out = append(out, append([]string{"meshbreach"}, strings.Fields(after)...))
		}
	}
	if args[0] == "e2e" && len(out) != 1 {
		t.Errorf("make %q runs meshbreach %d times:\n%s", args, len(out), printed)
	}
	return out
}

func read(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// at is a value within maps.
func at[T any](t *testing.T, from map[string]any, path ...string) T {
	t.Helper()
	var v any = from
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("no %s", strings.Join(path, "."))
		}
		v = m[key]
	}
	out, ok := v.(T)
	if !ok {
		t.Fatalf("%s is a %T", strings.Join(path, "."), v)
	}
	return out
}

func check(t *testing.T, lines [][]string, atLeast int) {
	t.Helper()
	if len(lines) < atLeast {
		t.Errorf("%d command lines of ours: %q", len(lines), lines)
	}
	for _, words := range lines {
		if err := accepted(words[1:]); err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
}

func TestTheWorkflowForGitHubRunsCommandsThatWeTake(t *testing.T) {
	for name, job := range at[map[string]any](t, read(t, "../../docs/ci/github-actions.yaml"), "jobs") {
		t.Run(name, func(t *testing.T) {
			job := job.(map[string]any)
			var lines, uses []string
			for _, s := range at[[]any](t, job, "steps") {
				step := s.(map[string]any)
				if run, ok := step["run"].(string); ok {
					lines = append(lines, strings.Split(run, "\n")...)
				}
				if action, ok := step["uses"].(string); ok {
					uses = append(uses, action)
				}
			}
			check(t, ours(t, lines, at[map[string]any](t, job, "strategy", "matrix")), 3)
			if !strings.Contains(strings.Join(lines, "\n"), "GITHUB_STEP_SUMMARY") {
				t.Error("the verdicts are not in the summary")
			}
			if !slices.ContainsFunc(uses, func(s string) bool { return strings.HasPrefix(s, "actions/upload-artifact@") }) {
				t.Error("the reports are not kept")
			}
		})
	}
}

func TestTheJobsForGitLabRunCommandsThatWeTake(t *testing.T) {
	file := read(t, "../../docs/ci/gitlab-ci.yml")
	if got := at[string](t, file, ".attack", "artifacts", "reports", "junit"); got != "meshbreach/reports/junit.xml" {
		t.Errorf("JUnit is taken from %s", got)
	}
	for _, name := range []string{"kind", "local"} {
		t.Run(name, func(t *testing.T) {
			job := at[map[string]any](t, file, name)
			var lines []string
			for _, part := range []string{"script", "after_script"} {
				part, _ := job[part].([]any)
				for _, line := range part {
					lines = append(lines, line.(string))
				}
			}
			check(t, ours(t, lines, at[[]any](t, job, "parallel", "matrix")[0].(map[string]any)), 3)
		})
	}
}

func TestACommandLineInAFileForCIThatWeDoNotTakeIsFound(t *testing.T) {
	for _, line := range []string{"meshbreach rnu", "meshbreach run --kubernets-version 1.36", "meshbreach down a b", "meshbreach lint"} {
		if err := accepted(strings.Fields(line)[1:]); err == nil {
			t.Errorf("%s: taken", line)
		}
	}
	if err := accepted([]string{"run", "--help"}); err != nil && !errors.Is(err, pflag.ErrHelp) {
		t.Error(err)
	}
}
