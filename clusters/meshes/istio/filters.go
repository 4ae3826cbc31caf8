package istio

import (
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

const types = "type.googleapis.com/envoy.extensions."

// A patch is one change that an EnvoyFilter makes.
type patch struct {
	applyTo, context string
	match            map[string]any
	operation        string
	value            map[string]any
}

func filter(r clusters.Range, name string, patches ...patch) kubeapi.Object {
	var all []any
	for _, p := range patches {
		match := map[string]any{"context": p.context}
		for k, v := range p.match {
			match[k] = v
		}
		change := map[string]any{"operation": p.operation}
		if p.value != nil {
			change["value"] = p.value
		}
		all = append(all, map[string]any{"applyTo": p.applyTo, "match": match, "patch": change})
	}
	return object(groupFilters, "EnvoyFilter", rootNamespace(r), name, map[string]any{"configPatches": all})
}

const (
	inbound  = "SIDECAR_INBOUND"
	outbound = "SIDECAR_OUTBOUND"
	merge    = "MERGE"
	remove   = "REMOVE"
)

// standing returns the objects that a range has under every policy.
func standing(r clusters.Range, p proxySettings) []kubeapi.Object {
	out := []kubeapi.Object{filter(r, "listener-log", listenerLog(p.listener))}
	if p.stock {
		out = append(out, filter(r, "stock-envoy", withoutALPN()))
	}
	for _, w := range r.Workloads {
		if !w.Serves() {
			continue
		}
		out = append(out, filter(r, "connections-"+pod(w), ownConnections(w), sameProtocol()),
			object(groupNetworking, "DestinationRule", w.Namespace, pod(w), map[string]any{
				"host": serviceHost(w),
				"trafficPolicy": map[string]any{"connectionPool": map[string]any{
					// The caller's protocol reaches the target: an attempt over
					// HTTP/2 stays one over HTTP/2.
					"http": map[string]any{"useClientProtocol": true, "idleTimeout": idle},
				}},
			}))
	}
	return out
}

// idle is how long a connection to the next hop outlives the application's own
// connection. Envoy does not tell its pool when the application's connection
// ends. Without this limit a leftover connection would stay open for an hour and
// delay every change until the drain ends.
const idle = "0.200s"

// withoutALPN removes the one filter that a stock Envoy lacks.
func withoutALPN() patch {
	return patch{"HTTP_FILTER", outbound, map[string]any{"listener": map[string]any{"filterChain": map[string]any{
		"filter": map[string]any{
			"name": "envoy.filters.network.http_connection_manager", "subFilter": map[string]any{"name": "istio.alpn"},
		},
	}}}, remove, nil}
}

// listenerLog logs why a handshake failed, which only the listener knows. Istio's
// own log has what was served and what matched no filter chain.
func listenerLog(path string) patch {
	return patch{"LISTENER", inbound, map[string]any{"listener": map[string]any{"name": listenerInbound}}, merge, map[string]any{
		"access_log": []any{map[string]any{
			"name": "envoy.access_loggers.file",
			"typed_config": map[string]any{
				"@type": types + "access_loggers.file.v3.FileAccessLog", "path": path,
				"log_format": map[string]any{"json_format": logFormat(logListener)},
			},
		}},
	}}
}

// ownConnections gives every connection of a caller's application its own
// connection to the target. With Istio's own pool, a fresh connection of the
// application would share an old one of the proxy, so fresh and kept connections
// would not differ.
func ownConnections(w clusters.Workload) patch {
	return patch{"CLUSTER", outbound, map[string]any{"cluster": map[string]any{"service": serviceHost(w)}}, merge,
		map[string]any{"connection_pool_per_downstream_connection": true}}
}

// sameProtocol makes the target's sidecar call its application in the protocol
// that the sidecar was called in.
func sameProtocol() patch {
	const options = types + "upstreams.http.v3.HttpProtocolOptions"
	return patch{"CLUSTER", inbound, map[string]any{"cluster": map[string]any{"portNumber": clusters.PortHTTP}}, merge, map[string]any{
		"typed_extension_protocol_options": map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
			"@type":                          options,
			"use_downstream_protocol_config": map[string]any{"http_protocol_options": map[string]any{}, "http2_protocol_options": map[string]any{}},
		}},
	}}
}
