package envoy

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// inboundHTTP stands before the application: it makes the path unambiguous,
// says whom the caller proved to be, and asks the rules.
//
// Escaped slashes are unescaped and not refused, so that the rules judge the
// very path that the application gets (as Istio's DECODE_AND_MERGE_SLASHES).
func (b *builder) inboundHTTP(prefix string) *listenerv3.Filter {
	m := b.http(prefix, clusterApplication, logInbound)
	m.NormalizePath = on()
	m.MergeSlashes = true
	m.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	m.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Uri: true}
	m.HttpFilters = append([]*hcmv3.HttpFilter{
		discovered(extensionTokens, typeJWT), discovered(extensionRules, typeRBAC),
	}, m.HttpFilters...)
	return b.filter("http", m)
}

// outboundHTTP passes on what the application wrote as it stands: an attacker
// behind it must be judged by the target, not tidied up by his own proxy.
func (b *builder) outboundHTTP(prefix, cluster string) *listenerv3.Filter {
	return b.filter("http", b.http(prefix, cluster, logOutbound))
}

// http sends everything to one cluster, never retries and never gives up on a
// stream: long requests are what revocation is tested on.
func (b *builder) http(prefix, cluster, log string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: prefix,
		ServerName: serverName(b.w),
		// The application's own server header stays; what the proxy answers
		// itself is signed by it.
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_APPEND_IF_ABSENT,
		StreamIdleTimeout:          never(),
		SkipXffAppend:              true,
		GenerateRequestId:          off(),
		CommonHttpProtocolOptions:  &corev3.HttpProtocolOptions{IdleTimeout: never()},
		AccessLog:                  b.logs(log, true),
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: prefix,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{toCluster(cluster)},
			}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.pack(&routerv3.Router{SuppressEnvoyHeaders: true})},
		}},
	}
}

func toCluster(name string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name},
			Timeout:          never(),
		}},
	}
}

// discovered is an HTTP filter whose configuration comes by ECDS, so that a
// new one binds the next request of every open connection.
func discovered(name, typeURL string) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       name,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: ecds(typeURL)},
	}
}

func ecds(typeURL string) *corev3.ExtensionConfigSource {
	return &corev3.ExtensionConfigSource{ConfigSource: ads(), TypeUrls: []string{typeURL}}
}

// ads says that a resource comes over the one stream that everything comes by.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

// tcpRules asks the rules once, when a TCP connection begins.
func (b *builder) tcpRules() *listenerv3.Filter {
	return &listenerv3.Filter{
		Name:       extensionTCPRules,
		ConfigType: &listenerv3.Filter_ConfigDiscovery{ConfigDiscovery: ecds(typeTCPRBAC)},
	}
}

// guardedTCP connects to the application when the first bytes have passed the
// rules, and not when the caller connects: Envoy judges a connection by its
// first bytes, and a refused caller must not reach the application at all. So
// a protocol in which the server speaks first does not work here.
func (b *builder) guardedTCP(prefix string) *listenerv3.Filter {
	m := b.tcp(prefix, clusterApplication, logInbound)
	m.UpstreamConnectMode = tcpv3.UpstreamConnectMode_ON_DOWNSTREAM_DATA
	m.MaxEarlyDataBytes = number(64 << 10)
	return b.filter("tcp", m)
}

// count counts the connections of a chain that is not HTTP, from their first
// moment on. What the listener has less what HTTP has would not do: Envoy does
// not write the two at one moment, so that with fresh requests coming and going
// the difference is too small now and then.
func (b *builder) count(prefix string) *listenerv3.Filter {
	return b.filter("count", &limitv3.ConnectionLimit{StatPrefix: prefix, MaxConnections: &wrapperspb.UInt64Value{Value: math.MaxInt64}})
}

func (b *builder) tcpProxy(prefix, cluster, log string) *listenerv3.Filter {
	return b.filter("tcp", b.tcp(prefix, cluster, log))
}

// tcp passes bytes on. When its chain is drained it closes at the next byte,
// and not at the end of the drain time.
func (b *builder) tcp(prefix, cluster, log string) *tcpv3.TcpProxy {
	return &tcpv3.TcpProxy{
		StatPrefix:       prefix,
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster},
		IdleTimeout:      never(),
		AccessLog:        b.logs(log, false),
		CheckDrainClose:  on(),
	}
}
