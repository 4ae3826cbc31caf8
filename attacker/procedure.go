package attacker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Procedure is one unary gRPC call, as bytes. It is written by hand over
// HTTP/2, one frame each way: the probe runs beside every workload, and linking
// the gRPC library for this one call would cost too much.
type Procedure struct {
	Nonce    string              // of the observation; it does not travel
	Address  string              // host:port to dial
	Method   string              // /package.Service/Method
	Metadata map[string][]string // names in lower case
	Message  []byte              // the request, encoded
	TLS      *TLS                // nil is plaintext
	Timeout  Duration            // 2 s when zero
	Secrets  []string            // in Message, which no answer may bring into a record
	Stream   bool                // the answer is any number of messages, which are given as they came, framed
}

// largestMessage bounds an answer, in bytes.
const largestMessage = 4 << 20

// Invoke makes the call and returns the encoded answer and what was seen. Every
// status but OK is a Refusal with its number and its message: at layer grpc, or
// lower when no status arrived. The answer is nil then.
func (f Foothold) Invoke(ctx context.Context, p Procedure) ([]byte, Observation) {
	o := Observation{Nonce: p.Nonce, Start: f.now(), Seen: Nowhere, Connection: Fresh}
	timeout := time.Duration(p.Timeout)
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSilence)
	defer cancel()
	k := Request{
		Address: p.Address, Protocol: ProtocolHTTP2, Method: http.MethodPost, Path: p.Method,
		Headers: p.headers(), Body: frame(p.Message), TLS: p.TLS,
	}
	answer, err := f.invoke(ctx, k, &o)
	if err == nil && answer != nil && !p.Stream {
		answer, err = unframe(answer)
	}
	if err != nil {
		o.Reply, o.Refusal = nil, refusalOf(ctx, err)
	}
	k.Headers["secrets"] = p.Secrets // to be looked for; it has travelled already
	hush(&o, k)
	o.End = f.now()
	return answer, o
}

func (p Procedure) headers() map[string][]string {
	out := map[string][]string{"content-type": {"application/grpc"}, "te": {"trailers"}}
	for name, values := range p.Metadata {
		out[name] = values
	}
	return out
}

// frame is a message as it travels: not compressed, then its length.
func frame(message []byte) string {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return string(append(b, message...))
}

// unframe takes the one message out of a body.
func unframe(body []byte) ([]byte, error) {
	switch {
	case len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5:
		return nil, malformed{"gRPC", errors.New("the answer is not one message")}
	default:
		return body[5:], nil
	}
}

// invoke gives the body of an answer; nil when it was refused.
func (f Foothold) invoke(ctx context.Context, k Request, o *Observation) ([]byte, error) {
	resp, body, err := f.whole(ctx, k, o)
	if err != nil || o.Refusal != nil {
		return nil, err
	}
	code, said, err := status(resp)
	if err != nil {
		return nil, err
	}
	if code != 0 {
		o.Refusal = &Refusal{Layer: LayerGRPC, Code: code, Text: said}
		return nil, nil
	}
	o.Reply = &Reply{}
	return body, nil
}

// whole makes one request by HTTP and reads the answer to its end. A status
// other than 2xx is a refusal.
func (f Foothold) whole(ctx context.Context, k Request, o *Observation) (*http.Response, []byte, error) {
	if err := k.Check(); err != nil {
		return nil, nil, unsent{err.Error()}
	}
	l, err := f.open(ctx, k, o)
	if err != nil {
		return nil, nil, err
	}
	defer l.close()
	resp, err := l.ask(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	release := l.guard(ctx)
	defer release()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largestMessage))
	if err != nil {
		return nil, nil, err
	}
	o.Seen = Replied
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		o.Refusal = &Refusal{Layer: LayerHTTP, Code: resp.StatusCode, Text: clip(strings.TrimSpace(strings.ToValidUTF8(string(body), "\ufffd"))), By: resp.Header.Get("Server")}
	}
	return resp, body, nil
}

// ask sends a request and returns the head of the answer.
func (l *link) ask(ctx context.Context, k Request) (*http.Response, error) {
	if l.h2 != nil {
		return l.roundTrip(ctx, request(ctx, k, io.NopCloser(strings.NewReader(k.Body)), int64(len(k.Body))))
	}
	release := l.guard(ctx)
	defer release()
	_, wrote := l.conn.Write(requestBytes(k))
	resp, err := readFinal(l, k)
	switch {
	case err != nil && isMalformed(err):
		return nil, malformed{"HTTP/1.1", err}
	case err != nil:
		return nil, telling(err, wrote)
	}
	return resp, nil
}

// Fetch makes one request by HTTP/1.1 or HTTP/2 and returns the whole answer,
// which is not in the observation: it may be a secret. It is nil when it was
// refused.
func (f Foothold) Fetch(ctx context.Context, k Request) ([]byte, Observation) {
	o := Observation{Nonce: k.Nonce, Start: f.now(), Seen: Nowhere, Connection: Fresh}
	timeout := time.Duration(k.Timeout)
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSilence)
	defer cancel()
	resp, body, err := f.whole(ctx, k, &o)
	switch {
	case err != nil:
		o.Refusal = refusalOf(ctx, err)
	case o.Refusal == nil:
		o.Reply = &Reply{Status: resp.StatusCode}
	}
	hush(&o, k)
	o.End = f.now()
	if o.Refusal != nil {
		return nil, o
	}
	return body, o
}

// status reads how a call ended: from the trailers or, when there was no
// answer at all, from the headers.
func status(resp *http.Response) (code int, said string, err error) {
	from := resp.Trailer
	if len(from.Values("Grpc-Status")) == 0 {
		from = resp.Header
	}
	code, err = strconv.Atoi(from.Get("Grpc-Status"))
	if err != nil {
		return 0, "", malformed{"gRPC", fmt.Errorf("no status: %q", from.Get("Grpc-Status"))}
	}
	said = from.Get("Grpc-Message")
	if plain, err := url.PathUnescape(said); err == nil {
		said = plain
	}
	return code, said, nil
}

// unruled are the codes of gRPC that say that the other side did not come to an answer.
func unruled() []int { return []int{1, 2, 4, 8, 13, 14} } // cancelled, unknown, deadline, exhausted, internal, unavailable

// Ruled says whether a refusal is a gRPC status that somebody decided on,
// rather than that nobody could.
func (r Refusal) Ruled() bool { return r.Layer == LayerGRPC && !slices.Contains(unruled(), r.Code) }
