package attacker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// A Request is one request in full. Making it gives one Observation.
type Request struct {
	Nonce      string              `json:"nonce"`
	Address    string              `json:"address"`            // host:port to dial
	Protocol   string              `json:"protocol,omitempty"` // http1 (default), http2, tcp
	Method     string              `json:"method,omitempty"`   // sent as it stands
	Path       string              `json:"path,omitempty"`     // sent as it stands
	Host       string              `json:"host,omitempty"`
	Headers    map[string][]string `json:"headers,omitempty"`
	Body       string              `json:"body,omitempty"`
	Connection string              `json:"connection,omitempty"` // "" is a fresh connection; a name is kept between requests
	TLS        *TLS                `json:"tls,omitempty"`        // nil is plaintext
	Timeout    Duration            `json:"timeout,omitempty"`    // 2 s when zero
}

// TLS is how a raw TLS client behaves. It does not verify the server: what the
// server makes of this client is what counts.
type TLS struct {
	Leaf       *KeyPair `json:"leaf,omitempty"` // nil sends no certificate
	ServerName string   `json:"serverName,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	MaxVersion string   `json:"maxVersion,omitempty"` // "1.2" or ""
}

// FlagOnce is the flag with which a probe makes one request, written as JSON, and
// ends.
const FlagOnce = "once"

// A Listen is a port that a probe serves. What arrives there is answered with
// 200 and leaves a receipt; nothing is verified.
type Listen struct {
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // http: plaintext HTTP/1.1 and h2c, and TLS that verifies nobody, by the first byte; tcp: lines echoed, likewise
}

// The protocols of a request.
const (
	ProtocolHTTP1  = "http1"
	ProtocolHTTP2  = "http2"        // prior knowledge in plaintext, ALPN h2 in TLS
	ProtocolTCP    = "tcp"          // a line each request, see LineNonce
	ProtocolStream = "http2-stream" // one long POST, a line each request
)

// The headers that probes speak with each other.
const (
	HeaderNonce  = "x-meshbreach-nonce"  // request: joins it with its receipt
	HeaderStream = "x-meshbreach-stream" // request: "1" when its body is lines
	HeaderEpoch  = "x-meshbreach-epoch"  // reply: the process that answered
	HeaderSeq    = "x-meshbreach-seq"    // reply: the number of its receipt
)

// PathRedirect is where an application sends its caller on to the address that
// its query names as "to".
const PathRedirect = "/v1/redirect"

// The words of the line protocol: the client says "NONCE <nonce>\n", the
// target leaves a receipt and says "OK <epoch> <nonce>\n".
const (
	LineNonce = "NONCE"
	LineOK    = "OK"
	// LineLimit bounds a line, in bytes.
	LineLimit = 4096
)

const defaultTimeout = 2 * time.Second

// Fresh is the Connection of an observation that had one to itself.
const Fresh = "fresh"

// Check returns an error if the request can never be made. It dials nothing.
func (k Request) Check() error {
	if _, _, err := net.SplitHostPort(k.Address); err != nil {
		return fmt.Errorf("request: address %q is not host:port", k.Address)
	}
	protocols := []string{"", ProtocolHTTP1, ProtocolHTTP2, ProtocolTCP, ProtocolStream}
	if !slices.Contains(protocols, k.Protocol) {
		return fmt.Errorf("request: protocol %q is none of %s", k.Protocol, strings.Join(protocols[1:], ", "))
	}
	if strings.ContainsAny(k.Nonce, " \r\n") {
		return errors.New("request: a nonce has no blanks")
	}
	if k.TLS == nil {
		return nil
	}
	if v := k.TLS.MaxVersion; v != "" && v != "1.2" {
		return fmt.Errorf("request: TLS version %q is neither 1.2 nor empty", v)
	}
	if _, err := clientConfig(k); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

// Request makes one request and returns what was seen. A failure is a Refusal at
// the layer where it happened. LayerSocket means that the request could not be
// made here, which proves nothing about the target. Request returns within
// k.Timeout even if the target hangs, and at once when ctx ends.
//
// A request with a Connection name dials when that name is new and otherwise
// uses the open connection. When the peer has closed it, the observation says
// so (layer tcp, "closed") and the name is forgotten: only the request after that
// dials again.
func (f Foothold) Request(ctx context.Context, k Request) Observation {
	o := Observation{Nonce: k.Nonce, Start: f.now(), Seen: Nowhere, Connection: Fresh}
	if k.Connection != "" {
		o.Connection = k.Connection
	}
	timeout := time.Duration(k.Timeout)
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSilence)
	defer cancel()
	if err := f.request(ctx, k, &o); err != nil {
		o.Refusal = refusalOf(ctx, err)
	}
	hush(&o, k)
	o.End = f.now()
	return o
}

func (f Foothold) request(ctx context.Context, k Request, o *Observation) error {
	if err := k.Check(); err != nil {
		return unsent{err.Error()}
	}
	if k.Connection != "" {
		return f.requestKept(ctx, k, o)
	}
	l, err := f.open(ctx, k, o)
	if err != nil {
		return err
	}
	defer l.close()
	return l.say(ctx, k, o)
}

func (f Foothold) requestKept(ctx context.Context, k Request, o *Observation) error {
	if f.Kept == nil {
		return unsent{"this foothold keeps no connections"}
	}
	slot := f.Kept.slot(k.Connection)
	select {
	case slot.turn <- struct{}{}:
		defer func() { <-slot.turn }()
	case <-ctx.Done():
		return unsent{textBusy}
	}
	l := f.Kept.link(slot)
	if l == nil {
		var err error
		if l, err = f.open(ctx, k, o); err != nil {
			return err
		}
		if !f.Kept.keep(slot, l) {
			return unsent{textStopped}
		}
	}
	l.describe(o)
	err := l.say(ctx, k, o)
	if err != nil {
		f.Kept.forget(slot)
		if r := namedRefusal(err); l.used && r != nil && r.Layer == LayerTCP && r.Code == 0 {
			// Whether the peer's FIN or its RST is seen first is chance.
			err = errClosedByPeer
		}
	}
	l.used = true
	return err
}

// errClosedByPeer is read as layer tcp, "closed".
var errClosedByPeer = fmt.Errorf("kept connection: %w", net.ErrClosed)

// say speaks the request's protocol.
func (l *link) say(ctx context.Context, k Request, o *Observation) error {
	switch k.Protocol {
	case ProtocolTCP:
		return l.sayLine(ctx, k, o)
	case ProtocolStream:
		return l.sayOnStream(ctx, k, o)
	case ProtocolHTTP2:
		return l.sayHTTP2(ctx, k, o)
	default:
		return l.sayHTTP1(ctx, k, o)
	}
}

func (f Foothold) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

// hush removes the request's secrets from the answer: a server that echoes a
// token must not put it into a record.
func hush(o *Observation, k Request) {
	secrets := secretsOf(k)
	clean := func(s string) string {
		for _, secret := range secrets {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
		return clip(s)
	}
	if o.Refusal != nil {
		o.Refusal.Text = clean(o.Refusal.Text)
	}
	if o.Reply != nil {
		o.Reply.Body = clean(o.Reply.Body)
	}
}

// secretsOf lists the long values that a request carries in its headers, its
// query and its body. Short ones are words, not keys.
func secretsOf(k Request) []string {
	const shortest = 16
	var found []string
	take := func(s string) {
		for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" =;,&\"", r) }) {
			if len(part) >= shortest && part != k.Nonce {
				found = append(found, part)
			}
		}
	}
	for _, values := range k.Headers {
		for _, v := range values {
			take(v)
		}
	}
	if _, query, ok := strings.Cut(k.Path, "?"); ok {
		take(query)
	}
	take(k.Body)
	// The longest first, so that no part of a longer secret is left over.
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(found)
}
