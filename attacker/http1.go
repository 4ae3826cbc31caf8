package attacker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// excerpt is how much of a body is read before it is cleaned and cut to
// maxText; drain is how much more of it a kept connection reads to stay usable.
const (
	excerpt = 4 << 10
	drain   = 1 << 20
)

// sayHTTP1 writes the request by hand, because net/http would mend what an
// attack needs as it stands: methods, paths, header names, doubled headers.
func (l *link) sayHTTP1(ctx context.Context, k Request, o *Observation) error {
	release := l.guard(ctx)
	defer release()
	// A proxy may answer and close before it has read everything, and a TLS 1.3
	// peer may refuse our leaf only now: read even when the write failed.
	_, wrote := l.conn.Write(requestBytes(k))
	resp, err := readFinal(l, k)
	if err != nil {
		if isMalformed(err) {
			return malformed{"HTTP/1.1", err}
		}
		return telling(err, wrote)
	}
	defer resp.Body.Close()
	whole := answer(o, resp)
	if !whole {
		// What is left of the body would be read as the next answer.
		_ = l.raw.Close()
	}
	return nil
}

// readFinal skips interim answers.
func readFinal(l *link, k Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(l.reader, &http.Request{Method: strings.ToUpper(k.Method)})
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
		_ = resp.Body.Close()
	}
}

// answer writes a response into the observation; false means that the body
// was cut short or too long to read.
func answer(o *Observation, resp *http.Response) (whole bool) {
	o.Seen = Replied
	body, err := io.ReadAll(io.LimitReader(resp.Body, excerpt))
	n, rest := io.Copy(io.Discard, io.LimitReader(resp.Body, drain))
	text := string(bytes.ToValidUTF8(body, []byte("\ufffd")))
	grpc := grpcStatus(resp)
	server := resp.Header.Get("Server")
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		o.Refusal = &Refusal{Layer: LayerHTTP, Code: resp.StatusCode, Text: strings.TrimSpace(text), By: clip(server)}
	case grpc != 0:
		o.Refusal = &Refusal{Layer: LayerGRPC, Code: grpc, Text: grpcMessage(resp), By: clip(server)}
	default:
		o.Reply = &Reply{Status: resp.StatusCode, Body: text, By: clip(resp.Header.Get(HeaderEpoch))}
	}
	return err == nil && rest == nil && n < drain
}

// grpcStatus is zero when the answer is not gRPC or says OK. A proxy that
// refuses puts the status into the header, a server into the trailer.
func grpcStatus(resp *http.Response) int {
	text := resp.Header.Get("Grpc-Status")
	if text == "" {
		text = resp.Trailer.Get("Grpc-Status")
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return code
}

func grpcMessage(resp *http.Response) string {
	if m := resp.Header.Get("Grpc-Message"); m != "" {
		return m
	}
	return resp.Trailer.Get("Grpc-Message")
}

// requestBytes is the request as it goes on the wire.
func requestBytes(k Request) []byte {
	var b bytes.Buffer
	method, path, host := orElse(k.Method, http.MethodGet), orElse(k.Path, "/"), orElse(k.Host, k.Address)
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nhost: %s\r\n", method, path, host)
	if k.Nonce != "" {
		fmt.Fprintf(&b, "%s: %s\r\n", HeaderNonce, k.Nonce)
	}
	framed := false
	for _, name := range headerNames(k) {
		for _, v := range k.Headers[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
		lower := strings.ToLower(name)
		framed = framed || lower == "content-length" || lower == "transfer-encoding"
	}
	if !framed && (k.Body != "" || expectsBody(method)) {
		fmt.Fprintf(&b, "content-length: %d\r\n", len(k.Body))
	}
	b.WriteString("\r\n")
	b.WriteString(k.Body)
	return b.Bytes()
}

func expectsBody(method string) bool {
	return slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, strings.ToUpper(method))
}

func headerNames(k Request) []string {
	names := make([]string, 0, len(k.Headers))
	for name := range k.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// malformed is an answer that is not in the protocol we speak.
type malformed struct {
	protocol string
	cause    error
}

func (m malformed) Error() string { return "not " + m.protocol + ": " + m.cause.Error() }

// isMalformed tells what http.ReadResponse could not parse from what it could
// not read.
func isMalformed(err error) bool {
	var protocol textproto.ProtocolError
	return errors.As(err, &protocol) || strings.HasPrefix(err.Error(), "malformed")
}

// telling picks the error that says more: what was read, if it is known,
// otherwise why we could not write. The kernel reports a reset once: when the
// write took it, the read sees an ordinary end.
func telling(read, wrote error) error {
	end := errors.Is(read, io.EOF) || errors.Is(read, io.ErrUnexpectedEOF)
	if wrote != nil && (namedRefusal(read) == nil || end && errors.Is(wrote, syscall.ECONNRESET)) {
		return wrote
	}
	return read
}
