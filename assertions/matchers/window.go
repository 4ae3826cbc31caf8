package matchers

import (
	"fmt"
	"time"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/assertions"
)

// HaveWindowWithin matches an assertions.Change, or a pointer to one, if no request
// was served later than d after the change was asked for. It is an error when the
// change never settled, when there were no requests, or when none was refused, so
// that the end of the window is unknown. A request that was served too late is no
// match in any case.
func HaveWindowWithin(d time.Duration) types.GomegaMatcher { return within{d} }

type within struct{ most time.Duration }

func (m within) Match(actual any) (bool, error) {
	c, err := value[assertions.Change]("HaveWindowWithin", actual)
	if err != nil {
		return false, err
	}
	w := c.Window
	switch {
	case w.Served > 0 && w.LastLeak > m.most:
		return false, nil
	case c.Unsettled() != "":
		return false, fmt.Errorf("%s never settled: %s", c.What, c.Unsettled())
	case w.Tries == 0:
		return false, fmt.Errorf("nobody asked in the window of %s", c.What)
	case w.FirstDenial < 0:
		return false, fmt.Errorf("nothing was refused in the window of %s: %d tries, %d served", c.What, w.Tries, w.Served)
	}
	return true, nil
}

func (m within) FailureMessage(actual any) string {
	return fmt.Sprintf("expected a window of at most %s, but %s", m.most, windowText(actual))
}

func (m within) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected a window of more than %s, but %s", m.most, windowText(actual))
}

func windowText(actual any) string {
	c, err := value[assertions.Change]("windowText", actual)
	if err != nil {
		return err.Error()
	}
	w := c.Window
	s := fmt.Sprintf("of %d tries after %s %d were served", w.Tries, c.What, w.Served)
	if w.Served > 0 {
		s += ", the last after " + w.LastLeak.String()
	}
	if w.Late > 0 {
		s += fmt.Sprintf(", %d of them after the first denial", w.Late)
	}
	if w.FirstDenial >= 0 {
		s += ", and the first was refused after " + w.FirstDenial.String()
	}
	return s
}
