package builtin

import (
	"fmt"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// ProxyWorkers is how many worker threads a proxy has where nobody says.
const ProxyWorkers = proxy.DefaultWorkers

// mostWorkers bounds what can be asked for: a proxy has memory for each.
const mostWorkers = 64

// Threaded is a mesh whose proxies have n worker threads each. The error says
// why it cannot be had.
func Threaded(m meshes.Mesh, n int) (meshes.Mesh, error) {
	own, ok := m.(meshes.Threaded)
	switch {
	case n < 1 || n > mostWorkers:
		return m, fmt.Errorf("%d: from 1 to %d", n, mostWorkers)
	case ok:
		return own.WithWorkers(n), nil
	case n != ProxyWorkers:
		return m, fmt.Errorf("%d: mesh %s has no proxies", n, meshName(m))
	}
	return m, nil
}
