package builtin

import (
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/workers"
)

// ProxyWorkers is how many worker threads a proxy has where nobody says.
const ProxyWorkers = workers.Default

// mostWorkers bounds what can be asked for: a proxy has memory for each.
const mostWorkers = 64

// Threaded is a mesh whose proxies have n worker threads each. The error says
// why it cannot be had.
func Threaded(m clusters.Mesh, n int) (clusters.Mesh, error) {
	own, ok := m.(clusters.Threaded)
	switch {
	case n < 1 || n > mostWorkers:
		return m, fmt.Errorf("%d: from 1 to %d", n, mostWorkers)
	case ok:
		return own.WithWorkers(n), nil
	case n != ProxyWorkers:
		return m, fmt.Errorf("%d: mesh %s has no proxies", n, m.Name())
	}
	return m, nil
}
