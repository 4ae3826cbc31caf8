package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const tinySource = `A program of a few lines, and a file beside it.
-- go.mod --
module meshbreach.invalid/tiny

go 1.26.0
-- cmd/tiny/main.go --
package main

import "os"

func main() { os.Stdout.WriteString("tiny v1.2.3 " + os.Args[1] + "\n") }
-- cmd/other/main.go --
package main

func main() {}
-- data/table.txt --
the table
`

// tiny is a family that is built within a second.
func tiny(archive string) program {
	return program{
		name: "tiny", variable: "MESHBREACH_TEST_TINY", version: "1.2.3", family: "tinies",
		reports: regexp.MustCompile(`^tiny v(\S+) --version`),
		source: module{
			family: "tinies", version: "1.2.3", archive: []byte(archive),
			programs: []output{{"meshbreach.invalid/tiny/cmd/other", "other"}, {"meshbreach.invalid/tiny/cmd/tiny", "tiny"}},
			files:    []file{{"meshbreach.invalid/tiny", "data/table.txt"}},
		},
	}
}

func table(archive string) program {
	p := tiny(archive)
	p.name, p.variable, p.reports, p.file = "table", "MESHBREACH_TEST_TABLE", nil, "table.txt"
	return p
}

// workshop is an empty cache on a machine that has go, with the compiled
// standard library that this machine has already.
func workshop(t *testing.T) (cache string) {
	t.Helper()
	path := os.Getenv("PATH")
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, cache = lab(t)
	t.Setenv("PATH", path)
	t.Setenv("GOCACHE", strings.TrimSpace(string(out)))
	return filepath.Join(cache, "meshbreach")
}

// fakeGo is the only go on PATH.
func fakeGo(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	script(t, filepath.Join(dir, "go"), text)
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// A notebook keeps what was noted.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) note(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notebook) has(part string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.lines, func(l string) bool { return strings.Contains(l, part) })
}

// until waits for a fact.
func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-limit:
			t.Fatalf("never saw: %s", what)
		case <-tick.C:
		}
	}
}

// holds is what the cache has, without the lock.
func holds(t *testing.T, cache string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(cache, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != cache && d.Name() != ".turn" {
			files = append(files, strings.TrimPrefix(path, cache+"/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAFamilyIsBuiltOnceAndThenFoundWithoutGo(t *testing.T) {
	cache := workshop(t)
	if err := os.MkdirAll(filepath.Join(cache, ".tinies-left-by-a-killed-run", "work-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	var notes notebook
	f, err := tiny(tinySource).find(t.Context(), Options{Get: true, Note: notes.note})
	if err != nil {
		t.Fatal(err)
	}
	if f.Source != FromBuild || f.Version != "1.2.3" || f.Warning != "" {
		t.Errorf("found %+v", f)
	}
	if !notes.has("building tinies 1.2.3 (other, tiny) from pinned Go modules: about ") || !notes.has("built tinies") {
		t.Errorf("said %q", notes.lines)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	key, err := tiny(tinySource).source.key()
	if err != nil {
		t.Fatal(err)
	}
	folder := "tinies-" + key
	if got, want := holds(t, cache), []string{folder, folder + "/other", folder + "/table.txt", folder + "/tiny"}; !slices.Equal(got, want) {
		t.Errorf("the cache holds %q, want %q", got, want)
	}
	t.Setenv("PATH", t.TempDir())
	for _, p := range []program{tiny(tinySource), table(tinySource)} {
		f, err := p.find(t.Context(), Options{Get: true})
		if err != nil || f.Source != FromCache || f.Version != "1.2.3" {
			t.Errorf("%s without go: %+v %v", p.name, f, err)
		}
	}
}

func TestAFileThatTheUserNamedIsTakenOrAnError(t *testing.T) {
	lab(t)
	path := script(t, filepath.Join(t.TempDir(), "mine.txt"), "")
	t.Setenv("MESHBREACH_TEST_TABLE", path)
	if f, err := table(tinySource).find(t.Context(), Options{}); err != nil || f.Path != path || f.Source != FromVariable {
		t.Errorf("found %+v %v", f, err)
	}
	t.Setenv("MESHBREACH_TEST_TABLE", filepath.Dir(path))
	if _, err := table(tinySource).find(t.Context(), Options{}); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
}
