package builtin

import (
	"fmt"
	"os"

	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// Whose rules redirect traffic to proxies.
const (
	RedirectHarness = "harness" // the provider's, which spare a proxy by a mark
	RedirectMesh    = "mesh"    // the mesh's own, which spare it by its user
)

// Redirected is a mesh to whose proxies these rules redirect. The error says
// why it cannot be had.
func Redirected(m meshes.Mesh, by string) (meshes.Mesh, error) {
	own, ok := m.(meshes.Redirecting)
	switch {
	case by == RedirectHarness:
		return m, nil
	case by != RedirectMesh:
		return m, fmt.Errorf("%s: %s or %s", by, RedirectHarness, RedirectMesh)
	case !ok:
		return m, fmt.Errorf("%s: mesh %s has no rules of its own", by, meshName(m))
	case os.Geteuid() != 0:
		return m, fmt.Errorf("%s: its rules know a proxy by its user, so it takes root", by)
	}
	return own.OwnRules(), nil
}
