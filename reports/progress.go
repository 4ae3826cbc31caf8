package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// refresh is how often the status line shows a new time.
const refresh = 200 * time.Millisecond

// Progress shows a run while it goes. On a terminal it updates one status line and
// prints a line for every scenario that did not pass. Elsewhere it prints one line
// a scenario. It is safe for concurrent use. Close it before writing anything else
// to the same place.
type Progress struct {
	w     io.Writer
	page  Page
	total int
	now   func() time.Time
	start time.Time

	mu      sync.Mutex
	note    string
	running []string
	counts  map[concern]int
	done    int
	shown   bool // a status line stands on the terminal
	closed  bool
	err     error

	stop, stopped chan struct{}
}

// NewProgress starts to show a run of total scenarios. On a terminal it keeps
// a goroutine until Close.
func NewProgress(w io.Writer, page Page, total int, now func() time.Time) *Progress {
	p := &Progress{
		w: w, page: page, total: total, now: now, start: now(), counts: map[concern]int{},
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if page.Terminal {
		go p.tick()
	} else {
		close(p.stopped)
	}
	return p
}

func (p *Progress) tick() {
	defer close(p.stopped)
	t := time.NewTicker(refresh)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
			p.mu.Lock()
			p.status()
			p.mu.Unlock()
		}
	}
}

// Note says what happens outside of scenarios, for example "making mesh envoy".
func (p *Progress) Note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = clean(text)
	if p.page.Terminal {
		p.status()
		return
	}
	p.line(p.note)
}

// Started says that a scenario began.
func (p *Progress) Started(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note = ""
	p.running = append(p.running, clean(id))
	p.status()
}

// Finished says what became of a scenario.
func (p *Progress) Finished(s Scenario) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.running, clean(s.ID)); i >= 0 {
		p.running = slices.Delete(p.running, i, i+1)
	}
	p.done++
	c := concernOf(s.Outcome)
	p.counts[c]++
	outcome := p.page.style(s.look()).Render(fmt.Sprintf("%-4s", clean(s.Outcome)))
	switch {
	case !p.page.Terminal:
		digits := len(fmt.Sprint(p.total))
		p.line(fmt.Sprintf("%*d/%d %s  %s  %s  %s", digits, p.done, p.total, outcome, clean(s.ID), span(s.Took), p.tally()))
	case c != fine:
		p.line(fmt.Sprintf("%s  %s  %s", outcome, clean(s.ID), span(s.Took)))
	}
	if c >= vulnerable && !s.Accepted && s.Why != "" {
		p.line("      " + clean(s.Why))
	}
	p.status()
}

// Close takes the status line away and ends the goroutine. It returns the
// first error of writing. Closing again does nothing.
func (p *Progress) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.wipe()
		p.closed = true
		close(p.stop)
	}
	err := p.err
	p.mu.Unlock()
	<-p.stopped
	return err
}

// tally counts the outcomes so far. It leaves out rare ones that are zero.
func (p *Progress) tally() string {
	s := fmt.Sprintf("pass %d fail %d gap %d", p.counts[fine], p.counts[broken], p.counts[known])
	if n := p.counts[vulnerable]; n > 0 {
		s += fmt.Sprintf(" known-cve %d", n)
	}
	if n := p.counts[unknown]; n > 0 {
		s += fmt.Sprintf(" inconclusive %d", n)
	}
	if n := p.counts[untried]; n > 0 {
		s += fmt.Sprintf(" skipped %d", n)
	}
	return s + "  elapsed " + p.now().Sub(p.start).Truncate(time.Second).String()
}

// line prints a line that stays.
func (p *Progress) line(text string) {
	p.wipe()
	p.print(text + "\n")
}

// status rewrites the status line. The line never wraps, because a wrapped line
// cannot be erased.
func (p *Progress) status() {
	if !p.page.Terminal || p.closed {
		return
	}
	what := p.note
	if what == "" {
		what = strings.Join(p.running, ", ")
	}
	text := fmt.Sprintf("%d/%d  %s  %s", p.done, p.total, p.tally(), what)
	p.wipe()
	p.print(ansi.Truncate(text, p.page.columns()-1, "…"))
	p.shown = true
}

func (p *Progress) wipe() {
	if p.shown {
		p.print("\r" + ansi.EraseEntireLine)
		p.shown = false
	}
}

func (p *Progress) print(text string) {
	if p.closed {
		return
	}
	if _, err := io.WriteString(p.w, text); err != nil && p.err == nil {
		p.err = fmt.Errorf("show progress: %w", err)
	}
}
