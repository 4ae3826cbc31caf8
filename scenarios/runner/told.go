package runner

import (
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// canaries are what answers are searched for; nil where the mesh planted none.
func (p *player) canaries() map[string][]string {
	mesh, ok := p.stage.mesh.(meshes.Planted)
	if !ok {
		return nil
	}
	return mesh.Canaries(p.rg)
}
