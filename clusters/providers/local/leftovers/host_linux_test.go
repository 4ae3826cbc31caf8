package leftovers_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// proc is a process of the host: a number alone may be used again.
type proc struct {
	pid     int
	started string
}

// look reads a process and its parent; ok is false when it is gone.
func look(pid int) (p proc, parent int, ok bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return proc{}, 0, false
	}
	_, after, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(after)
	// A zombie is gone: the host's own first process takes its time to notice.
	if len(f) < 20 || f[0] == "Z" {
		return proc{}, 0, false
	}
	parent, _ = strconv.Atoi(f[1])
	return proc{pid, f[19]}, parent, true
}

// family is a process and all that came from it, parents first.
func family(t *testing.T, root int) []proc {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]proc{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if p, parent, ok := look(pid); ok {
				children[parent] = append(children[parent], p)
			}
		}
	}
	self, _, ok := look(root)
	if !ok {
		t.Fatalf("process %d is not there", root)
	}
	all := []proc{self}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}

// alive lists those of the processes that are still there.
func alive(ps []proc) []proc {
	return slices.DeleteFunc(slices.Clone(ps), func(p proc) bool {
		now, _, ok := look(p.pid)
		return !ok || now != p
	})
}

// traces is what a cluster might leave on the host, other than processes.
type traces struct {
	links  []string
	mounts string
	files  []string
}

// trace looks at the links and mounts of the host, and for files whose path
// holds the name.
func trace(t *testing.T, name string, own string) traces {
	t.Helper()
	var found traces
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		found.links = append(found.links, l.Name())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	found.mounts = string(mounts)
	for _, dir := range []string{"/tmp", "/dev/shm", "/run", "/var/tmp", own} {
		// What we may not read, the cluster could not write.
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if dir == own || strings.Contains(e.Name(), name) {
				found.files = append(found.files, path)
			}
			if e.IsDir() && dir != own && strings.Count(path, "/") > 3 {
				return fs.SkipDir
			}
			return nil
		})
	}
	return found
}

// until waits for a fact.
func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !fact() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}
