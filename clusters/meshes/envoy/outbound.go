package envoy

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshbreach/meshbreach/clusters"
)

// outbound is the listener that takes what the application sends. Plaintext to
// a meshed workload goes on over mutual TLS; what is TLS already, and what
// goes anywhere else, goes on as it is.
func (b *builder) outbound() *listenerv3.Listener {
	l := b.listener(listenerOutbound, portOutbound, corev3.TrafficDirection_OUTBOUND)
	for _, peer := range b.peers() {
		l.FilterChains = append(l.FilterChains, toPeer(peer, 0, b.outboundHTTP("to-"+peer.Name, clusterOf(peer))))
		for _, port := range opaque() {
			if slices.Contains(b.p.Plaintext, port) {
				continue
			}
			l.FilterChains = append(l.FilterChains,
				toPeer(peer, port, b.tcpProxy(fmt.Sprintf("to-%d-%s", port, peer.Name), clusterOf(peer), logOutbound)))
		}
	}
	// Envoy matches the port before the address and never goes back.
	for _, port := range ports(b.p.Plaintext) {
		name := fmt.Sprintf("to-open-%d", port)
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name:             name,
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: number(uint32(port))},
			Filters:          []*listenerv3.Filter{b.tcpProxy(name, clusterPassthrough, logOutbound)},
		})
	}
	l.DefaultFilterChain = &listenerv3.FilterChain{
		Name:    "passthrough",
		Filters: []*listenerv3.Filter{b.tcpProxy("passthrough", clusterPassthrough, logOutbound)},
	}
	return l
}

// toPeer matches plaintext to a meshed workload, on one port or on all.
func toPeer(peer clusters.Workload, port int, f *listenerv3.Filter) *listenerv3.FilterChain {
	m := &listenerv3.FilterChainMatch{
		TransportProtocol: inClear,
		PrefixRanges: []*corev3.CidrRange{{
			AddressPrefix: peer.Address.String(), PrefixLen: number(uint32(peer.Address.BitLen())),
		}},
	}
	name := "to-" + peer.Name
	if port != 0 {
		m.DestinationPort = number(uint32(port))
		name = fmt.Sprintf("to-%d-%s", port, peer.Name)
	}
	return &listenerv3.FilterChain{Name: name, FilterChainMatch: m, Filters: []*listenerv3.Filter{f}}
}

// peers are the other meshed workloads of the range, in address order.
func (b *builder) peers() []clusters.Workload {
	var out []clusters.Workload
	for _, w := range b.r.Workloads {
		if w.Meshed && w.Name != b.w.Name {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(x, y clusters.Workload) int { return x.Address.Compare(y.Address) })
	return out
}
