package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTwoRunsAtOnceBuildOnce(t *testing.T) {
	cache := workshop(t)
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	started, gate := filepath.Join(t.TempDir(), "started"), filepath.Join(t.TempDir(), "gate")
	fakeGo(t, `[ "$1" = build ] && echo $$ >>`+started+`; until [ -e `+gate+` ]; do sleep 0.01; done; exec `+real+` "$@"`)
	p := tiny(tinySource)
	m := p.source.(module)
	m.every = 10 * time.Millisecond
	p.source = m
	type result struct {
		f   Found
		err error
	}
	results := make(chan result, 2)
	find := func(n *notebook) {
		f, err := p.find(t.Context(), Options{Get: true, Note: n.note})
		results <- result{f, err}
	}
	var first, second notebook
	go find(&first)
	until(t, "the first run says that it goes on", func() bool { return first.has("building tinies 1.2.3: 0s so far") })
	go find(&second)
	until(t, "the second run says that it waits", func() bool { return second.has("another run builds a program: waiting") })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r := <-results; r.err != nil || filepath.Dir(filepath.Dir(r.f.Path)) != cache {
			t.Errorf("found %+v %v", r.f, r.err)
		}
	}
	builds, err := os.ReadFile(started)
	if err != nil || strings.Count(string(builds), "\n") != 1 {
		t.Errorf("built by %q, %v", builds, err)
	}
	if second.has("building") {
		t.Errorf("the second run said %q", second.lines)
	}
}

func TestAFailedBuildShowsItsLastLinesAndLeavesNothing(t *testing.T) {
	cache := workshop(t)
	var notes notebook
	_, err := tiny(strings.Replace(tinySource, "os.Args[1]", "nothingOfThatName", 1)).find(t.Context(), Options{Get: true, Note: notes.note})
	var failed *BuildError
	if !errors.As(err, &failed) || !strings.Contains(failed.Error(), "nothingOfThatName") || !notes.has("undefined: nothingOfThatName") {
		t.Errorf("got %v, said %q", err, notes.lines)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	if got := holds(t, cache); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	fakeGo(t, `i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo "line $i" >&2; done; printf 'the end'; exit 1`)
	if _, err = tiny(tinySource).find(t.Context(), Options{Get: true}); !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	if n := len(failed.Lines); n != 20 || failed.Lines[0] != "line 32" || failed.Lines[19] != "the end" {
		t.Errorf("%d lines: %q", n, failed.Lines)
	}
}

func TestACancelledBuildIsKilledWithItsChildrenAndLeavesNothing(t *testing.T) {
	cache := workshop(t)
	path := os.Getenv("PATH")
	child := filepath.Join(t.TempDir(), "child")
	fakeGo(t, `sleep 600 & echo $! >`+child+`.new; mv `+child+`.new `+child+`; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := tiny(tinySource).find(ctx, Options{Get: true})
		ended <- err
	}()
	var text []byte
	until(t, "the child of go", func() (ok bool) { text, _ = os.ReadFile(child); return text != nil })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := holds(t, cache); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the child's end", func() bool { return dead(pid) })
	t.Setenv("PATH", path)
	if _, err := tiny(tinySource).find(t.Context(), Options{Get: true}); err != nil {
		t.Errorf("the next build: %v", err)
	}
}

// dead is true of a zombie too: nobody may be there to bury it.
func dead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		return strings.Contains(string(stat), ") Z ")
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func TestWhoWaitsForABuildCanBeStopped(t *testing.T) {
	cache := workshop(t)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	leave, err := turn(t.Context(), cache, "something", Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tiny(tinySource).find(ctx, Options{Get: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := leave(); err != nil {
		t.Error(err)
	}
}
