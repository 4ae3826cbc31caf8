package main

import (
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

// rules tell the linter of the meshes that there are.
func rules() scenarios.Rules {
	return scenarios.Rules{Meshes: builtin.MeshNames(), Reference: builtin.ReferenceMeshes()}
}
