package istio

import (
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// rootMesh is the name, in Range.Roots, of the root that the mesh trusts.
const rootMesh = "mesh"

// trustFilters returns the misconfigurations that Istio's own objects cannot
// express. Each is an EnvoyFilter, as in the meshes where such mistakes are found.
func trustFilters(r clusters.Range, p policy.Policy) ([]kubeapi.Object, error) {
	var out []kubeapi.Object
	t := p.Trust
	if t.AcceptExpired || t.AnyTrustDomain || t.OptionalCertificate || len(t.ExtraRoots) > 0 {
		socket, err := serverTLS(r, t)
		if err != nil {
			return nil, err
		}
		out = append(out, filter(r, nameTrust, patch{
			"FILTER_CHAIN", inbound, map[string]any{"listener": map[string]any{
				"name": listenerInbound, "filterChain": map[string]any{"transportProtocol": "tls"},
			}}, merge, map[string]any{"transport_socket": socket},
		}, clientTLS(t)))
	}
	if p.Tokens != nil && p.Tokens.IgnoreExpiry {
		lax, err := laxTokens(r, p)
		if err != nil {
			return nil, err
		}
		out = append(out, filter(r, nameTokens, lax))
	}
	if p.Exposure.ProxyAdmin {
		out = append(out, ledToAdmin(r))
	}
	return out, nil
}

// The names of the EnvoyFilters that carry misconfigurations.
const (
	nameTrust  = "trust"
	nameTokens = "lax-tokens"
)

// socketName differs from Istio's own name, so that the patch replaces the whole
// context: a merge could not turn off the demand for a client certificate.
const socketName = "tls"

func serverTLS(r clusters.Range, t policy.Trust) (map[string]any, error) {
	context, err := validation(r, t)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"name": socketName,
		"typed_config": map[string]any{
			"@type": types + "transport_sockets.tls.v3.DownstreamTlsContext",
			"common_tls_context": map[string]any{
				"alpn_protocols":                     []string{"h2", "http/1.1"},
				"tls_params":                         map[string]any{"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
				"tls_certificate_sds_secret_configs": []any{sds("default")},
				"validation_context":                 context,
			},
			"require_client_certificate": !t.OptionalCertificate,
		},
	}, nil
}

func validation(r clusters.Range, t policy.Trust) (map[string]any, error) {
	roots := r.Roots[rootMesh]
	for _, name := range t.ExtraRoots {
		extra, ok := r.Roots[name]
		if !ok {
			return nil, fmt.Errorf("trust the root %q: range %s has none of that name", name, r.Name)
		}
		roots += extra
	}
	prefix := "spiffe://" + r.TrustDomain + "/"
	if t.AnyTrustDomain {
		prefix = "spiffe://"
	}
	out := map[string]any{"trusted_ca": map[string]any{"inline_string": roots}}
	if t.AcceptExpired {
		out["allow_expired_certificate"] = true
	}
	// If names are matched, Envoy demands a certificate, whatever else is set.
	if !t.OptionalCertificate {
		out["match_typed_subject_alt_names"] = []any{map[string]any{"san_type": "URI", "matcher": map[string]any{"prefix": prefix}}}
	}
	return out, nil
}

// sds returns a configuration that gets a secret from the agent.
func sds(name string) map[string]any {
	return map[string]any{"name": name, "sds_config": map[string]any{
		"resource_api_version": "V3", "initial_fetch_timeout": "0s",
		"api_config_source": map[string]any{
			"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
			"grpc_services": []any{map[string]any{"envoy_grpc": map[string]any{"cluster_name": "sds-grpc"}}},
		},
	}}
}

// clientTLS makes callers as lax about expiry as servers.
func clientTLS(t policy.Trust) patch {
	context := map[string]any{}
	if t.AcceptExpired {
		context["allow_expired_certificate"] = true
	}
	return patch{"CLUSTER", outbound, nil, merge, map[string]any{"transport_socket": map[string]any{
		"name": "envoy.transport_sockets.tls",
		"typed_config": map[string]any{
			"@type": types + "transport_sockets.tls.v3.UpstreamTlsContext",
			"common_tls_context": map[string]any{"combined_validation_context": map[string]any{
				"default_validation_context": context,
			}},
		},
	}}}
}

// skewWide is a clock skew of one day, in seconds.
const skewWide = 24 * 60 * 60

// laxTokens widens the clock skew. A patch replaces the whole provider, so it
// repeats everything that istiod configured for it.
func laxTokens(r clusters.Range, p policy.Policy) (patch, error) {
	providers := map[string]any{}
	for i, name := range p.Tokens.Issuers {
		url, keys, err := issuer(r, *p.Tokens, name)
		if err != nil {
			return patch{}, err
		}
		one := map[string]any{
			"issuer": url, "local_jwks": map[string]any{"inline_string": keys},
			"payload_in_metadata":           "payload",
			"normalize_payload_in_metadata": map[string]any{"space_delimited_claims": []string{"permission", "scope"}},
			"from_headers":                  []any{map[string]any{"name": "Authorization", "value_prefix": "Bearer "}},
			"clock_skew_seconds":            skewWide,
		}
		if p.Tokens.Audience != "" {
			one["audiences"] = []string{p.Tokens.Audience}
		}
		providers[fmt.Sprintf("origins-%d", i)] = one
	}
	return patch{"HTTP_FILTER", inbound, map[string]any{"listener": map[string]any{"filterChain": map[string]any{
		"filter": map[string]any{
			"name":      "envoy.filters.network.http_connection_manager",
			"subFilter": map[string]any{"name": "envoy.filters.http.jwt_authn"},
		},
	}}}, merge, map[string]any{"typed_config": map[string]any{
		"@type": types + "filters.http.jwt_authn.v3.JwtAuthentication", "providers": providers,
	}}}, nil
}

// portProxyAdmin is the loopback port of an Envoy's admin interface.
const portProxyAdmin = 15000

// nameAdmin is the name of the EnvoyFilter that exposes the admin interface.
const nameAdmin = "lead-to-admin"

// ledToAdmin routes requests for a port that no service declares to the proxy's
// admin interface. The effect is that of an admin interface on all addresses,
// which would need a restart of every proxy: whoever passes the mesh's rules and
// reaches the port has it.
func ledToAdmin(r clusters.Range) kubeapi.Object {
	return filter(r, nameAdmin, patch{"CLUSTER", inbound, map[string]any{"cluster": map[string]any{"name": "InboundPassthroughCluster"}}, merge, map[string]any{
		// A merge cannot set a zero value, and the usual lb_policy is zero.
		"type": "STATIC", "lb_policy": "LEAST_REQUEST",
		"load_assignment": map[string]any{"cluster_name": "InboundPassthroughCluster", "endpoints": []any{map[string]any{
			"lb_endpoints": []any{map[string]any{"endpoint": map[string]any{"address": map[string]any{
				"socket_address": map[string]any{"address": "127.0.0.1", "port_value": portProxyAdmin},
			}}}},
		}}},
	}})
}
