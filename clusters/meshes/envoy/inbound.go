package envoy

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names of the listeners.
const (
	listenerInbound  = "inbound"
	listenerOutbound = "outbound"
)

// What filter chains match on: the TLS inspector's answers.
const (
	overTLS = "tls"
	inClear = "raw_buffer"
)

// inbound is the listener in front of the application. A connection that no
// chain fits is closed, and the listener's access log says
// filter_chain_not_found: so strict means that there is no plaintext chain.
func (b *builder) inbound() *listenerv3.Listener {
	l := b.listener(listenerInbound, portInbound, corev3.TrafficDirection_INBOUND)
	l.AccessLog = b.logs(logInboundConnection, false)
	l.FilterChains = append(b.guarded(overTLS), b.plaintext()...)
	if b.p.MTLS == policy.Permissive {
		l.FilterChains = append(l.FilterChains, b.guarded(inClear)...)
	}
	return l
}

// opaque are the ports that are not HTTP.
func opaque() []int { return []int{clusters.PortTCP, clusters.PortOpaque} }

// guarded are the chains that ask the rules: one for HTTP on any port, and one
// for each port of opaque TCP.
func (b *builder) guarded(transport string) []*listenerv3.FilterChain {
	http := b.chain("http-"+transport, transport, 0)
	http.Filters = []*listenerv3.Filter{b.inboundHTTP(http.Name)}
	out := []*listenerv3.FilterChain{http}
	for _, port := range opaque() {
		if slices.Contains(b.p.Plaintext, port) {
			continue // that chain has its place
		}
		tcp := b.chain(fmt.Sprintf("tcp-%d-%s", port, transport), transport, port)
		tcp.Filters = []*listenerv3.Filter{b.count(tcp.Name), b.tcpRules(), b.guardedTCP(tcp.Name)}
		out = append(out, tcp)
	}
	return out
}

// plaintext are the chains of the ports that take anything from anybody: the
// sidecar does not look into them.
func (b *builder) plaintext() []*listenerv3.FilterChain {
	var out []*listenerv3.FilterChain
	for _, port := range ports(b.p.Plaintext) {
		c := b.chain(fmt.Sprintf("open-%d", port), "", port)
		c.Filters = []*listenerv3.Filter{b.count(c.Name), b.tcpProxy(c.Name, clusterApplication, logInbound)}
		out = append(out, c)
	}
	return out
}

func ports(of []int) []int { return slices.Compact(slices.Sorted(slices.Values(of))) }

// chain is an inbound chain without filters. Its name, which is also the
// prefix of its statistics, says all that its content depends on, and the
// generation: chains of one name are the same chain.
func (b *builder) chain(name, transport string, port int) *listenerv3.FilterChain {
	if transport == overTLS && b.p.Trust.OptionalCertificate {
		name += "-optional"
	}
	c := &listenerv3.FilterChain{
		Name:             fmt.Sprintf("%s-%d", name, b.generation),
		FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: transport},
	}
	if port != 0 {
		c.FilterChainMatch.DestinationPort = number(uint32(port))
	}
	if transport == overTLS {
		c.TransportSocket = b.serverTLS()
	}
	return c
}

// serverTLS demands a leaf. A leaf that is shown is always verified. Sessions are never resumed: a resumed one would
// be judged by the trust of the day on which it began.
func (b *builder) serverTLS() *corev3.TransportSocket {
	common := b.commonTLS()
	common.AlpnProtocols = []string{"h2", "http/1.1"}
	common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
		ValidationContextSdsSecretConfig: sds(secretCallers),
	}
	return b.transport(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:                 common,
		RequireClientCertificate:         wrapperspb.Bool(!b.p.Trust.OptionalCertificate),
		DisableStatefulSessionResumption: true,
		SessionTicketKeysType: &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{
			DisableStatelessSessionResumption: true,
		},
	})
}

// listener binds to every address and knows where a connection was going
// before it was captured.
func (b *builder) listener(name string, port uint32, d corev3.TrafficDirection) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:             name,
		Address:          tcpAddress("0.0.0.0", port),
		TrafficDirection: d,
		ListenerFilters: []*listenerv3.ListenerFilter{
			{
				Name:       "original_dst",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.pack(&originaldstv3.OriginalDst{})},
			},
			{
				Name:       "tls_inspector",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.pack(&tlsinspectorv3.TlsInspector{})},
			},
		},
	}
}

func tcpAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func pipeAddress(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}
