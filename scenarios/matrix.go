package scenarios

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
)

// A Row of the matrix of expectations is one attempt; it has a cell a mesh.
type Row struct {
	Scenario, Attempt string
	Cells             []Cell
}

// A Cell is what a mesh is expected to do about an attempt.
type Cell struct {
	What string // as Seen says it; empty where nothing is expected
	Why  string // where somebody wrote it down
}

// String is the cell with its reason.
func (c Cell) String() string {
	if c.Why == "" {
		return cmp.Or(c.What, "-")
	}
	return c.What + ": " + c.Why
}

// Matrix is what is expected of meshes about every attempt, in the order of the
// scenarios.
func Matrix(all []Scenario, meshes ...string) []Row {
	var rows []Row
	for _, s := range all {
		for _, a := range s.Attempts {
			row := Row{Scenario: s.ID, Attempt: a.ID}
			for _, mesh := range meshes {
				c := Cell{}
				if e, ok := a.Expect[mesh]; ok {
					c = Cell{What: e.String(), Why: e.Because}
				}
				row.Cells = append(row.Cells, c)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// Seen is the verdict about an attempt of a scenario, in the words of a mesh's
// cell: what was expected was seen when the two are the same.
func Seen(s Scenario, a Attempt, mesh string, got reports.Attempt) string {
	if got.Verdict != string(assertions.Blocked) {
		if got.Outcome == string(assertions.Gap) {
			return assertions.Expectation{Gap: true}.String()
		}
		return got.Verdict
	}
	by := got.By
	switch by {
	case s.Cast.Target:
		by = "target"
	case s.from(a):
		by = "source"
	}
	reason := got.Reason
	// A refusal in the words of who was called names the caller as well.
	if named := a.Expect[mesh].Reason; by == assertions.SidePeer && named != "" && strings.HasPrefix(reason, named) {
		reason = named
	}
	return fmt.Sprint(assertions.Expectation{Verdict: assertions.Blocked, By: by, Layer: got.Layer, Reason: reason})
}
