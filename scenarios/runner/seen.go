package runner

import (
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// Seen is the verdict about an attempt of a scenario, in the words of a mesh's
// cell: what was expected was seen when the two are the same.
func Seen(s scenarios.Scenario, a scenarios.Attempt, mesh string, got reports.Attempt) string {
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
