package proxy

// FenceName is the listener's, and that of its statistics.
const FenceName = "meshbreach"

// FencePath is answered by a worker itself.
const FencePath = "/meshbreach/fence"

const types = "type.googleapis.com/envoy.extensions."

// FenceListener is the listener for Workers, as JSON, at an address, with further routes.
func FenceListener(address map[string]any, more ...any) map[string]any {
	routes := append([]any{map[string]any{
		"match": map[string]any{"prefix": FencePath}, "direct_response": map[string]any{"status": 204},
	}}, more...)
	return map[string]any{
		"name": FenceName, "stat_prefix": FenceName, "address": address,
		"connection_balance_config": map[string]any{"exact_balance": map[string]any{}},
		"filter_chains": []any{map[string]any{"filters": []any{map[string]any{
			"name": "http",
			"typed_config": map[string]any{
				"@type":       types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix": FenceName, "codec_type": "HTTP1",
				"http_filters": []any{map[string]any{"name": "router", "typed_config": map[string]any{"@type": types + "filters.http.router.v3.Router"}}},
				"route_config": map[string]any{"virtual_hosts": []any{map[string]any{
					"name": "all", "domains": []string{"*"}, "routes": routes,
				}}},
			},
		}}}},
	}
}
