package attacker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http2"
)

// sayHTTP2 makes one request on its own stream.
func (l *link) sayHTTP2(ctx context.Context, k Request, o *Observation) error {
	req := request(ctx, k, io.NopCloser(strings.NewReader(k.Body)), int64(len(k.Body)))
	resp, err := l.roundTrip(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer(o, resp)
	return nil
}

// roundTrip sends req on the connection.
func (l *link) roundTrip(ctx context.Context, req *http.Request) (*http.Response, error) {
	if l.used && !l.h2.CanTakeNewRequest() {
		return nil, errClosedByPeer
	}
	resp, err := l.h2.RoundTrip(req)
	if err != nil {
		return nil, l.explain(ctx, err)
	}
	return resp, nil
}

// explain tells a failure of HTTP/2 by what was read last: the library says
// "connection unusable" where the peer said why.
func (l *link) explain(ctx context.Context, err error) error {
	var away http2.GoAwayError
	last := l.patient.ended()
	switch {
	case l.patient.foreign():
		return malformed{"HTTP/2", err}
	case errors.As(err, &away) || ctx.Err() != nil:
		return err
	case last != nil:
		return last
	case namedRefusal(err) == nil && !l.h2.CanTakeNewRequest():
		return io.EOF
	default:
		return err
	}
}

// request is k as HTTP/2 sends it: method and path as they stand, header
// names in lower case, which the protocol demands.
func request(ctx context.Context, k Request, body io.ReadCloser, length int64) *http.Request {
	scheme := "http"
	if k.TLS != nil {
		scheme = "https"
	}
	host := orElse(k.Host, k.Address)
	req := &http.Request{
		Method: orElse(k.Method, http.MethodGet),
		// The library takes an opaque URL's "//host" off and sends the rest
		// unread; with a parsed path it would clean and encode.
		URL:           &url.URL{Scheme: scheme, Host: host, Opaque: "//" + host + orElse(k.Path, "/")},
		Host:          host,
		Header:        http.Header{"User-Agent": nil},
		Body:          body,
		ContentLength: length,
	}
	if length == 0 {
		req.Body = http.NoBody
	}
	for _, name := range headerNames(k) {
		// Not canonical: a doubled header stays doubled.
		req.Header[name] = k.Headers[name]
	}
	if k.Nonce != "" {
		req.Header[HeaderNonce] = []string{k.Nonce}
	}
	return req.WithContext(ctx)
}
