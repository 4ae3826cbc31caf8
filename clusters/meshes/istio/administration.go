package istio

import (
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// portProxyAdmin is where an Envoy's administration listens, on loopback.
const portProxyAdmin = 15000

// nameAdmin is that of the EnvoyFilter that leads to it.
const nameAdmin = "lead-to-admin"

// ledToAdmin leads what comes for a port that no service declares to the
// proxy's administration. It is what an administration on all addresses comes
// to, for which every proxy would have to be started anew: past the rules of
// the mesh, whoever reaches the port has it.
func ledToAdmin(r clusters.Range) kubeapi.Object {
	return filter(r, nameAdmin, patch{"CLUSTER", inbound, map[string]any{"cluster": map[string]any{"name": "InboundPassthroughCluster"}}, merge, map[string]any{
		// A merge cannot set what is zero, which the usual policy is.
		"type": "STATIC", "lb_policy": "LEAST_REQUEST",
		"load_assignment": map[string]any{"cluster_name": "InboundPassthroughCluster", "endpoints": []any{map[string]any{
			"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{
				"socket_address": map[string]any{"address": "127.0.0.1", "port_value": portProxyAdmin},
			}}}},
		}}},
	}})
}
