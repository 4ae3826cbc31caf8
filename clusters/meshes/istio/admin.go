package istio

import (
	"context"
	"net"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// admin asks an Envoy about itself, through a listener that the worker threads
// serve.
type admin struct {
	proxy.Client
	workers *proxy.Workers
}

func newAdmin(m Mesh, dial func(context.Context) (net.Conn, error)) admin {
	all := proxy.NewWorkers(proxy.WorkerNumber(m.Workers), dial)
	return admin{all.First(), all}
}

// close is of one that may not have been made, where the mesh could not be.
func (a admin) close() { a.workers.Close() }

// The statistics that settling reads.
const statsSettling = `^(listener_manager\.(total_(listeners_warming|listeners_draining|filter_chains_draining)|workers_started|lds\.(version|update_success))` +
	`|cluster_manager\.(warming_clusters|cds\.update_success)|listener\.0\.0\.0\.0_15006\..*downstream_cx_active|http\.inbound_.*downstream_rq_active` +
	`|` + proxy.FenceStatistics + `)$`

// stats are the numbers whose names match.
func (a admin) stats(ctx context.Context) (map[string]uint64, error) {
	n, err := a.Stats(ctx, statsSettling)
	return n.Numbers, err
}
