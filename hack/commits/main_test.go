package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const why = "\n\nThe old one failed on a busy machine."

func TestAMessageSaysWhatInTheImperativeAndWhy(t *testing.T) {
	for message, want := range map[string]string{
		"Add a check" + why:                                       "",
		"Process the queue first" + why:                           "",
		"Embed the catalogue" + why:                               "",
		"Added a check" + why:                                     "no imperative",
		"Adds a check" + why:                                      "no imperative",
		"Adding a check" + why:                                    "no imperative",
		"add a check" + why:                                       "no imperative",
		"Add a check." + why:                                      "full stop",
		"Add " + strings.Repeat("x", 68) + why:                    "",
		"Add " + strings.Repeat("x", 69) + why:                    "73 characters, 72 at most",
		"Add " + strings.Repeat("ü", 68) + why:                    "",
		"Add a check":                                             "no body",
		"Add a check\n\nSigned-off-by: Somebody <s@example.test>": "no body",
		"Add a check\nThe old one failed.":                        "no empty line",
	} {
		got := strings.Join(faults(message), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

// repository has two commits, of which the second is as it should not be, and
// gives the id of the first.
func repository(t *testing.T) (dir, first string) {
	t.Helper()
	dir = t.TempDir()
	for _, args := range [][]string{
		{"init", "-q"},
		{"commit", "-q", "--allow-empty", "-m", "this one was there before"},
		{"commit", "-q", "--allow-empty", "-m", "this one was not"},
	} {
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.test"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("NOT TESTED with a real history: %v: %s", err, out)
		}
	}
	first, err := git(t.Context(), dir, "rev-parse", "HEAD~1")
	if err != nil {
		t.Fatal(err)
	}
	return dir, strings.TrimSpace(first)
}

func TestOnlyCommitsAfterTheBaseAreChecked(t *testing.T) {
	dir, first := repository(t)
	err := check(t.Context(), dir, first, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), "this one was not") || strings.Contains(err.Error(), "before") {
		t.Errorf("%v", err)
	}
	if err := check(t.Context(), dir, "HEAD", new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
}

func TestWithoutHistoryNothingIsCheckedAndThatIsSaid(t *testing.T) {
	dir, first := repository(t)
	shallow := t.TempDir()
	if out, err := exec.Command("git", "clone", "-q", "--depth", "1", "file://"+dir, shallow).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, dir := range map[string]string{"shallow": shallow, "no repository": os.TempDir()} {
		var out bytes.Buffer
		if err := check(t.Context(), dir, first, &out); err != nil || !strings.Contains(out.String(), "not checked") {
			t.Errorf("%s: %v, said %q", name, err, out.String())
		}
	}
	t.Setenv("PATH", "")
	var out bytes.Buffer
	if err := check(t.Context(), dir, first, &out); err != nil || !strings.Contains(out.String(), "not checked") {
		t.Errorf("without git: %v, said %q", err, out.String())
	}
}
