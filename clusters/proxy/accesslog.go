package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// HeaderNonce carries the nonce of an attempt.
const HeaderNonce = "x-meshbreach-nonce"

// LogFormat is the JSON access log that ParseAccessLog reads, in Envoy's command
// operators. It serves HTTP, TCP and listener logs alike: what a log does not
// know is a dash or null. Without addresses nobody can tell where a caller was.
func LogFormat(addresses bool) map[string]string {
	f := map[string]string{
		"start":     "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
		"nonce":     "%REQ(" + strings.ToUpper(HeaderNonce) + ")%",
		"local":     "%DOWNSTREAM_LOCAL_ADDRESS%",
		"upstream":  "%UPSTREAM_HOST%",
		"peer":      "%DOWNSTREAM_PEER_URI_SAN%",
		"serial":    "%DOWNSTREAM_PEER_SERIAL%",
		"protocol":  "%PROTOCOL%",
		"method":    "%REQ(:METHOD)%",
		"path":      "%PATH(NQ)%", // a query may hold a token
		"status":    "%RESPONSE_CODE%",
		"details":   "%RESPONSE_CODE_DETAILS%",
		"flags":     "%RESPONSE_FLAGS%",
		"ended":     "%CONNECTION_TERMINATION_DETAILS%",
		"tls":       "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
		"onwardtls": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	}
	if addresses {
		f["source"] = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"
		f["onward"] = "%UPSTREAM_LOCAL_ADDRESS%"
	}
	return f
}

// A Log is whose log is read.
type Log struct {
	Workload string
	Address  netip.Addr // what comes to it is inbound
}

// ParseAccessLog reads a line that was written by Format at a time it was seen.
// A connection that says nothing of its own, because it carried requests or
// was never refused, gives false. An error is a line that is not of that form.
func (p Log) ParseAccessLog(line []byte, seen time.Time) (signals.Record, bool, error) {
	if len(line) > programs.LongestLine {
		return signals.Record{}, false, errors.New("read an access log: a line is too long")
	}
	var e entry
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&e); err != nil {
		return signals.Record{}, false, fmt.Errorf("read an access log: %w", err)
	}
	r := p.record(e, seen)
	if e.Protocol != "" {
		e.request(&r.Signal)
		return r, true, nil
	}
	return r, e.connection(&r.Signal), nil
}

// entry is a line. Everything is text, whatever JSON type Envoy chose.
type entry struct {
	Start, Nonce, Source, Local, Onward, Upstream text
	Peer, Serial, Protocol, Method, Path, Status  text
	Details, Flags, Ended, TLS, OnwardTLS         text
}

// text is a string, a number or null; a dash is nothing.
type text string

// UnmarshalJSON takes any scalar.
func (t *text) UnmarshalJSON(raw []byte) error {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*t = ""
	case string:
		if v == "-" {
			v = ""
		}
		*t = text(v)
	case float64, bool:
		*t = text(bytes.TrimSpace(raw))
	default:
		return errors.New("a field is no scalar")
	}
	return nil
}

func (p Log) record(e entry, seen time.Time) signals.Record {
	at, err := time.Parse(time.RFC3339Nano, string(e.Start))
	if err != nil {
		at = seen
	}
	local := addrPort(e.Local)
	r := signals.Record{
		Source: addrPort(e.Source),
		Onward: addrPort(e.Onward),
		Signal: signals.Signal{
			At: at, Seen: seen, Workload: p.Workload, Inbound: local.Addr() == p.Address, Local: local,
			Serial: string(e.Serial),
			// An address alone was only tried.
			Upstream: e.Upstream != "" && !e.flagged("UF"),
		},
	}
	for uri := range strings.SplitSeq(string(e.Peer), ",") {
		if uri != "" {
			r.Signal.Identity = append(r.Signal.Identity, uri)
		}
	}
	return r
}

// request is HTTP. It was refused when Envoy answered it itself.
func (e entry) request(g *signals.Signal) {
	g.Layer, g.Nonce, g.Method, g.Path = "http", string(e.Nonce), string(e.Method), string(e.Path)
	g.Status, _ = strconv.Atoi(string(e.Status)) // 0: there was no answer
	g.Raw = e.raw()
	if g.Refused = !e.passedOn(); !g.Refused {
		return
	}
	g.Reason = string(e.Details)
	if e.onwardHandshakeFailed() {
		g.Reason = "upstream_" + TLSReason(string(e.OnwardTLS))
	}
}

// passedOn says whether an answer came from upstream, or there is none because
// the caller left. A stream that the proxy itself cut off, which it logs as
// downstream_local_disconnect, was refused in the end.
func (e entry) passedOn() bool {
	return e.Details == "via_upstream" || e.Details == "" || strings.HasPrefix(string(e.Details), "downstream_remote_")
}

// noChain is what Envoy says of a connection that no filter chain fits.
const noChain = "filter_chain_not_found"

// connection is anything below HTTP.
func (e entry) connection(g *signals.Signal) bool {
	g.Layer, g.Raw = "tcp", e.raw()
	switch failed := e.handshakeFailure(); {
	case e.Details == noChain || e.flagged("NR"):
		g.Refused, g.Reason, g.Upstream = true, noChain, false
	case failed != "":
		g.Layer, g.Refused, g.Reason, g.Upstream = "tls", true, TLSReason(failed), false
	case strings.HasPrefix(string(e.Ended), "rbac_"):
		g.Refused, g.Reason, g.Upstream = true, string(e.Ended), false
	case e.onwardHandshakeFailed():
		g.Refused, g.Reason = true, "upstream_"+TLSReason(string(e.OnwardTLS))
	case e.flagged("UF"):
		g.Refused, g.Reason = true, "upstream_connection_failure"
	default:
		return e.Upstream != ""
	}
	return true
}

func (e entry) flagged(flag string) bool {
	for f := range strings.SplitSeq(string(e.Flags), ",") {
		if f == flag {
			return true
		}
	}
	return false
}

// handshakeFailure is why a TLS handshake failed. The TLS inspector leaves a
// text in the same place when a connection is no TLS at all, which is no
// failure; only that one begins in this way.
func (e entry) handshakeFailure() string {
	if strings.HasPrefix(string(e.TLS), "TLS_error|error:") {
		return ""
	}
	return string(e.TLS)
}

// onwardHandshakeFailed tells a failed handshake with the next hop from a
// failed connection, which Envoy writes down in the same place.
func (e entry) onwardHandshakeFailed() bool {
	return strings.HasPrefix(string(e.OnwardTLS), "TLS_error")
}

// raw is the proxy's own words. None of them holds a header or a token.
func (e entry) raw() string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"details", string(e.Details)},
		{"flags", string(e.Flags)},
		{"transport", e.handshakeFailure()},
		{"ended", string(e.Ended)},
		{"upstream", string(e.OnwardTLS)},
	} {
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value[:min(len(p.value), 200)])
		}
	}
	return strings.Join(parts, " ")
}

func addrPort(t text) netip.AddrPort {
	a, err := netip.ParseAddrPort(string(t))
	if err != nil {
		return netip.AddrPort{} // a pipe, or none
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
