package reports

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// screen is what a terminal of one status line would show: the lines that
// stay, and the last one.
func screen(out string) (stay []string, last string) {
	lines := strings.Split(out, "\n")
	for i, l := range lines {
		if j := strings.LastIndex(l, "\x1b[2K"); j >= 0 {
			lines[i] = l[j+len("\x1b[2K"):]
		}
	}
	return lines[:len(lines)-1], lines[len(lines)-1]
}

// safe is a buffer that a test may read while progress writes to it.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestWithoutATerminalEveryScenarioIsAPlainLine(t *testing.T) {
	now := at(0)
	var b bytes.Buffer
	p := NewProgress(&b, Page{}, 12, func() time.Time { return now })
	p.Note("making 2 test environments on local")
	for _, s := range []Scenario{passing(), gap(), leak(), hung(), unsupported()} {
		p.Started(s.ID)
		now = now.Add(2 * time.Second)
		p.Finished(s)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "progress.txt", b.Bytes())
}

func TestATerminalShowsOneStatusLineAndKeepsOnlyWhatDidNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b safe
		p := NewProgress(&b, Page{Terminal: true, Width: 100}, 3, time.Now)
		p.Note("making 2 test environments on local")
		if _, last := screen(b.String()); last != "0/3  pass 0 fail 0 gap 0  elapsed 0s  making 2 test environments on local" {
			t.Errorf("status %q", last)
		}
		p.Started("certs/expired-leaf")
		p.Started("lateral/policy-change-live")
		<-time.After(3*time.Second + refresh) // fake time: the goroutine ticks
		synctest.Wait()
		if _, last := screen(b.String()); last != "0/3  pass 0 fail 0 gap 0  elapsed 3s  certs/expired-leaf, lateral/policy-change-live" {
			t.Errorf("status %q", last)
		}
		p.Finished(passing())
		p.Finished(leak())
		stay, last := screen(b.String())
		if len(stay) != 2 || !strings.HasPrefix(stay[0], "fail  lateral/policy-change-live") || !strings.Contains(stay[1], "leaked") {
			t.Errorf("lines %q", stay)
		}
		if !strings.HasPrefix(last, "2/3  pass 1 fail 1 gap 0") {
			t.Errorf("status %q", last)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, last := screen(b.String()); last != "" {
			t.Errorf("after Close the status line is %q", last)
		}
		// synctest fails the test when a goroutine is left.
	})
}

func TestAStatusLineNeverWraps(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, Page{Terminal: true, Width: 60}, 3, time.Now)
	p.Started(strings.Repeat("long/", 40))
	_, last := screen(b.String())
	if n := len([]rune(last)); n > 59 {
		t.Errorf("%d columns: %q", n, last)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestProgressKeepsTheFirstErrorOfWriting(t *testing.T) {
	p := NewProgress(&full{}, Page{}, 1, time.Now)
	p.Started("a/b")
	p.Finished(passing())
	if err := p.Close(); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	if err := p.Close(); !errors.Is(err, errFull) {
		t.Errorf("second Close: got %v", err)
	}
}

func TestScenariosMayFinishAtTheSameTime(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, Page{Terminal: true}, 20, time.Now)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { p.Started("certs/expired-leaf"); p.Finished(passing()) })
	}
	wg.Wait()
	if _, last := screen(b.String()); !strings.HasPrefix(last, "20/20  pass 20") {
		t.Errorf("status %q", last)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
