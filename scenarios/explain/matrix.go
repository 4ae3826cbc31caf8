package explain

import (
	"cmp"

	"github.com/meshbreach/meshbreach/scenarios"
)

// A Row of the matrix is one attempt. It has a cell for each mesh.
type Row struct {
	Scenario, Attempt string
	Cells             []Cell
}

// A Cell says what a mesh is expected to do about an attempt.
type Cell struct {
	What string // the expectation in words; empty if there is none
	Why  string // the reason, if one was given
}

// String is the cell with its reason.
func (c Cell) String() string {
	if c.Why == "" {
		return cmp.Or(c.What, "-")
	}
	return c.What + ": " + c.Why
}

// Matrix lists what meshes are expected to do about every attempt, in the order
// of the scenarios.
func Matrix(all []scenarios.Scenario, meshes ...string) []Row {
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
