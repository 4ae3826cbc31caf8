package envoy

import (
	"net/netip"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"

	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// sink takes one sidecar's logs. Whose they are is known from the socket.
type sink struct {
	workload string
	store    *signals.Store
}

// StreamAccessLogs reads one log until its end.
func (s sink) StreamAccessLogs(stream grpc.ClientStreamingServer[logservicev3.StreamAccessLogsMessage, logservicev3.StreamAccessLogsResponse]) error {
	name := ""
	for {
		m, err := stream.Recv()
		if err != nil {
			return err // io.EOF and a cancelled stream alike: the sidecar has ended it
		}
		if id := m.GetIdentifier(); id != nil { // only the first message has it
			name = id.GetLogName()
		}
		for _, e := range m.GetHttpLogs().GetLogEntry() {
			s.store.Add(s.http(name, e))
		}
		for _, e := range m.GetTcpLogs().GetLogEntry() {
			if r, ok := s.tcp(name, e); ok {
				s.store.Add(r)
			}
		}
	}
}

// common is what every entry has.
func (s sink) common(name string, c *datav3.AccessLogCommon) signals.Record {
	peer := c.GetTlsProperties().GetPeerCertificateProperties()
	r := signals.Record{
		Source: addrPort(c.GetDownstreamDirectRemoteAddress()),
		Onward: addrPort(c.GetUpstreamLocalAddress()),
		Signal: signals.Signal{
			At:       c.GetStartTime().AsTime(),
			Seen:     time.Now(),
			Workload: s.workload,
			Inbound:  name != logOutbound,
			Local:    addrPort(c.GetDownstreamLocalAddress()),
			// An address alone was only tried.
			Upstream: c.GetUpstreamRemoteAddress() != nil && !c.GetResponseFlags().GetUpstreamConnectionFailure(),
		},
	}
	for _, san := range peer.GetSubjectAltName() {
		if uri := san.GetUri(); uri != "" {
			r.Signal.Identity = append(r.Signal.Identity, uri)
		}
	}
	if serial := c.GetCustomTags()[tagSerial]; serial != "-" {
		r.Signal.Serial = serial
	}
	return r
}

// http is a request. It was refused when Envoy answered it itself.
func (s sink) http(name string, e *datav3.HTTPAccessLogEntry) signals.Record {
	r := s.common(name, e.GetCommonProperties())
	details := e.GetResponse().GetResponseCodeDetails()
	g := &r.Signal
	g.Layer = "http"
	g.Nonce = e.GetRequest().GetRequestHeaders()[proxy.HeaderNonce]
	g.Method = method(e.GetRequest())
	g.Path = e.GetRequest().GetPath()
	g.Status = int(e.GetResponse().GetResponseCode().GetValue())
	g.Raw = raw(e.GetCommonProperties(), details)
	if g.Refused = !passedOn(details); g.Refused {
		g.Reason = details
		if failed := e.GetCommonProperties().GetUpstreamTransportFailureReason(); isTLS(failed) {
			g.Reason = "upstream_" + proxy.TLSReason(failed)
		}
	}
	return r
}

// passedOn says whether an answer came from upstream, or there is none because
// the caller left. A stream that the sidecar itself cut off, which it logs as
// downstream_local_disconnect, was refused in the end.
func passedOn(details string) bool {
	return details == "via_upstream" || details == "" || strings.HasPrefix(details, "downstream_remote_")
}

func method(q *datav3.HTTPRequestProperties) string {
	if m := q.GetRequestMethod(); m != corev3.RequestMethod_METHOD_UNSPECIFIED {
		return m.String()
	}
	return ""
}

// tcp is a connection. The listener writes an entry for every one; those that
// became HTTP or were passed on are told by other logs and not by this one.
func (s sink) tcp(name string, e *datav3.TCPAccessLogEntry) (signals.Record, bool) {
	c := e.GetCommonProperties()
	r := s.common(name, c)
	details := c.GetCustomTags()[tagDetails]
	g := &r.Signal
	g.Layer = "tcp"
	g.Raw = raw(c, details)
	listener := name == logInboundConnection
	switch failed, ended := handshakeFailure(c), c.GetConnectionTerminationDetails(); {
	case details == noChain || c.GetResponseFlags().GetNoRouteFound():
		g.Refused, g.Reason, g.Upstream = true, noChain, false
	case failed != "":
		g.Layer, g.Refused, g.Reason, g.Upstream = "tls", true, proxy.TLSReason(failed), false
	case strings.HasPrefix(ended, "rbac_") && !listener:
		g.Refused, g.Reason, g.Upstream = true, ended, false
	case isTLS(c.GetUpstreamTransportFailureReason()):
		g.Refused, g.Reason = true, "upstream_"+proxy.TLSReason(c.GetUpstreamTransportFailureReason())
	case c.GetResponseFlags().GetUpstreamConnectionFailure():
		g.Refused, g.Reason = true, "upstream_connection_failure"
	case listener:
		return signals.Record{}, false
	}
	return r, true
}

// handshakeFailure is why a TLS handshake failed. The TLS inspector leaves a
// text in the same place when a connection is no TLS at all, which is no
// failure; only that one begins in this way.
func handshakeFailure(c *datav3.AccessLogCommon) string {
	said := c.GetDownstreamTransportFailureReason()
	if strings.HasPrefix(said, "TLS_error|error:") {
		return ""
	}
	return said
}

// isTLS tells a failed handshake with the next hop from a failed connection,
// which Envoy writes down in the same place.
func isTLS(failed string) bool { return strings.HasPrefix(failed, "TLS_error") }

// noChain is what Envoy says of a connection that no filter chain fits:
// plaintext to a port that is strict.
const noChain = "filter_chain_not_found"

// raw is the proxy's own words. None of them holds a header or a token.
func raw(c *datav3.AccessLogCommon, details string) string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"details", details},
		{"transport", handshakeFailure(c)},
		{"ended", c.GetConnectionTerminationDetails()},
		{"upstream", c.GetUpstreamTransportFailureReason()},
	} {
		if p.value != "" && p.value != "-" {
			parts = append(parts, p.name+"="+p.value[:min(len(p.value), 200)])
		}
	}
	return strings.Join(parts, " ")
}

func addrPort(a *corev3.Address) netip.AddrPort {
	ip, err := netip.ParseAddr(a.GetSocketAddress().GetAddress())
	if err != nil {
		return netip.AddrPort{} // a pipe, or none
	}
	return netip.AddrPortFrom(ip, uint16(a.GetSocketAddress().GetPortValue()))
}
