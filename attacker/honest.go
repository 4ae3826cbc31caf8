package attacker

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// honest sends the requests of a load: it numbers them, and gives each the
// connection it is meant to have.
type honest struct {
	kept, fresh    *http.Transport
	method, scheme string
	target         *url.URL
	host, prefix   string
	header         http.Header
	percent        int
}

// vegetaSeq is where vegeta puts the number of a request.
const vegetaSeq = "X-Vegeta-Seq"

// errSentTwice is a loss: net/http hides the end of a kept connection by
// sending an idempotent request again, and a load must not hide it.
var errSentTwice = errors.New("the kept connection ended after the request was written, and the request was sent again")

func newHonest(f Foothold, p Load, connections int) *honest {
	k := p.Request
	h := &honest{method: orElse(k.Method, http.MethodGet), scheme: "http", host: orElse(k.Host, k.Address), prefix: k.Nonce, percent: p.Fresh}
	var secure *tls.Config
	if k.TLS != nil {
		h.scheme = "https"
		secure, _ = clientConfig(k) // Load.Check has seen that it can be made
	}
	h.target = &url.URL{Scheme: h.scheme, Host: k.Address, Opaque: "//" + h.host + orElse(k.Path, "/")}
	if k.Protocol != ProtocolHTTP2 {
		// HTTP/1.1 sends an opaque URL as it stands, so it has to be a path.
		h.target.Opaque = orElse(k.Path, "/")
	}
	h.header = http.Header{"User-Agent": nil}
	for _, name := range headerNames(k) {
		h.header[name] = k.Headers[name]
	}
	h.kept, h.fresh = h.transport(f, k, secure, connections), h.transport(f, k, secure, connections)
	h.fresh.DisableKeepAlives = true
	return h
}

func (h *honest) transport(f Foothold, k Request, secure *tls.Config, connections int) *http.Transport {
	dial := f.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	protocols := new(http.Protocols)
	if k.Protocol == ProtocolHTTP2 {
		protocols.SetHTTP2(k.TLS != nil)
		protocols.SetUnencryptedHTTP2(k.TLS == nil)
	} else {
		protocols.SetHTTP1(true)
	}
	if secure != nil {
		secure = secure.Clone()
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dial(ctx, network, k.Address)
		},
		TLSClientConfig:     secure,
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: connections,
		IdleConnTimeout:     time.Minute,
	}
}

// RoundTrip sends what vegeta made. The request belongs to one call only, so
// it is changed in place.
func (h *honest) RoundTrip(req *http.Request) (*http.Response, error) {
	seq, err := strconv.ParseUint(req.Header.Get(vegetaSeq), 10, 64)
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(h.header)+1)
	for name, values := range h.header {
		header[name] = values
	}
	header[HeaderNonce] = []string{nonceOf(h.prefix, seq)}
	req.Method, req.URL, req.Host, req.Header = h.method, h.target, h.host, header
	if isFresh(seq, h.percent) {
		return h.fresh.RoundTrip(req)
	}
	return h.once(req)
}

// once makes a request that was written twice a loss.
func (h *honest) once(req *http.Request) (*http.Response, error) {
	var writes atomic.Int32
	trace := &httptrace.ClientTrace{WroteHeaders: func() { writes.Add(1) }}
	resp, err := h.kept.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil && writes.Load() > 1 {
		_ = resp.Body.Close()
		return nil, errSentTwice
	}
	return resp, err
}

func (h *honest) close() {
	h.kept.CloseIdleConnections()
	h.fresh.CloseIdleConnections()
}
