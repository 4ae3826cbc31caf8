package envoy

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshbreach/meshbreach/clusters"
)

// The names of the clusters that every sidecar has.
const (
	clusterApplication = "application" // the workload behind this sidecar
	clusterPassthrough = "passthrough" // wherever the connection was going
)

// clusterOf names the cluster that leads to a meshed workload over mutual TLS.
func clusterOf(w clusters.Workload) string { return "to-" + w.Name }

// serverName is how a sidecar signs the answers that it makes itself.
func serverName(w clusters.Workload) string { return "envoy@" + w.Name }

func (b *builder) clusters() []proto.Message {
	out := []proto.Message{b.original(clusterApplication, false), b.original(clusterPassthrough, false)}
	for _, peer := range b.peers() {
		c := b.original(clusterOf(peer), true)
		c.TransportSocket = b.clientTLS(peer)
		out = append(out, c)
	}
	return out
}

// original connects to where the connection was going before it was captured,
// with the mark that spares it from being captured again.
//
// To a peer, every connection of the application has its own: a fresh
// connection is a fresh handshake, and a kept one is a kept one.
func (b *builder) original(name string, own bool) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:       lasting(time.Second),
		UpstreamBindConfig: &corev3.BindConfig{SocketOptions: []*corev3.SocketOption{{
			Description: "SO_MARK",
			Level:       1,
			Name:        36,
			Value:       &corev3.SocketOption_IntValue{IntValue: mark},
			State:       corev3.SocketOption_STATE_PREBIND,
		}}},
		ConnectionPoolPerDownstreamConnection: own,
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": b.pack(&httpv3.HttpProtocolOptions{
				CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: lasting(idle)},
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
					UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
						HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
						Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
					},
				},
			}),
		},
	}
}

// idle is how long a connection to the next hop outlives the application's own,
// which Envoy does not tell its pool about. What is left over would otherwise
// be open for an hour, and hold up every change of trust.
const idle = 200 * time.Millisecond

// clientTLS presents this workload's leaf and takes only the peer's identity.
func (b *builder) clientTLS(peer clusters.Workload) *corev3.TransportSocket {
	common := b.commonTLS()
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: &tlsv3.CertificateValidationContext{
				MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{uri(exactly(peer.ID()))},
			},
			ValidationContextSdsSecretConfig: sds(secretServers),
		},
	}
	return b.transport(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, MaxSessionKeys: number(0)})
}

func (b *builder) commonTLS() *tlsv3.CommonTlsContext {
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{sds(secretLeaf)},
	}
}

func (b *builder) transport(m proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.pack(m)},
	}
}

func sds(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}

func uri(m *matcherv3.StringMatcher) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: m}
}

func exactly(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}
}

func beginning(s string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: s}}
}

func matching(regex string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: regex},
	}}
}
