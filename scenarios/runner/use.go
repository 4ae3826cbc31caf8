package runner

import (
	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/scenarios"
)

// A use is an attack with its parameters, from a foothold, for a role.
type use struct {
	role, from, attack string
	with               map[string]any
	shows              string // where alone a receipt shows its effect; anywhere when empty
}

// useOf is the attempt itself.
func useOf(s scenarios.Scenario, a scenarios.Attempt) use {
	return use{role: assertions.RoleAttempt, from: s.From(a), attack: a.Attack, with: a.With, shows: a.BreachOf().Place(s.Cast.Target)}
}
