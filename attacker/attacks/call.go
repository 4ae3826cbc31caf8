package attacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// A Request is the method and the path of a request, "POST /v1/charge". Both
// are sent as they stand: lower-case methods and unnormalised paths are
// attacks. Empty is "GET /".
type Request string

// Split returns the two halves.
func (r Request) Split() (method, path string) {
	if r == "" {
		return "GET", "/"
	}
	method, path, _ = strings.Cut(string(r), " ")
	return method, path
}

// UnmarshalJSON reads the text and refuses what would not be one request line.
func (r *Request) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New(`a request is text such as "POST /v1/charge"`)
	}
	method, path, _ := strings.Cut(s, " ")
	// A space or a line break in either half would be a second, unseen request.
	if !isToken(method) || path == "" || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return fmt.Errorf(`request %q is not a method, one space and a path, such as "POST /v1/charge"`, s)
	}
	*r = Request(s)
	return nil
}

// isToken says whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// Protocol is what a request is spoken in.
type Protocol string

// The protocols.
const (
	HTTP1  Protocol = attacker.ProtocolHTTP1
	HTTP2  Protocol = attacker.ProtocolHTTP2  // by prior knowledge, or by ALPN within TLS
	Stream Protocol = attacker.ProtocolStream // one long POST, a line each request
	TCP    Protocol = attacker.ProtocolTCP    // a line each request
)

// The ports that a target of the range serves.
const (
	portHTTP = 8080
	portTCP  = 9000
)

// Call is where a request goes and what it says; every attack has these
// parameters.
type Call struct {
	// Request is the method and the path, sent as they stand.
	Request Request `json:"request,omitempty" jsonschema:"default=GET /"`
	// Port is the target's port; 8080, or 9000 for raw TCP.
	Port int `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
}

// Check refuses a port that does not exist.
func (c Call) Check() error {
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("port %d is not between 1 and 65535", c.Port)
	}
	return nil
}

// request turns the call into a request at the target.
func (c Call) request(nonce string, t attacker.Target, p Protocol) attacker.Request {
	method, path := c.Request.Split()
	port := c.Port
	switch {
	case port == 0 && p == TCP:
		port = portTCP
	case port == 0:
		port = portHTTP
	}
	return attacker.Request{
		Nonce:    nonce,
		Address:  net.JoinHostPort(t.Address, strconv.Itoa(port)),
		Protocol: string(p),
		Method:   method,
		Path:     path,
		Host:     t.Host,
	}
}

// oneOf checks a parameter that is a word out of a list; empty is the default.
func oneOf[S ~string](name string, got S, words ...S) error {
	if got == "" {
		return nil
	}
	texts := make([]string, len(words))
	for i, w := range words {
		if got == w {
			return nil
		}
		texts[i] = string(w)
	}
	return fmt.Errorf("%s %q is none of %s", name, got, strings.Join(texts, ", "))
}

// alpnFor is what an ordinary client of the protocol offers.
func alpnFor(p Protocol) []string {
	switch p {
	case HTTP2, Stream:
		return []string{"h2"}
	case TCP:
		return nil
	default:
		return []string{"http/1.1"}
	}
}

// serverName is the name to ask for in a TLS handshake: the authority without
// its port.
func serverName(t attacker.Target) string {
	if host, _, err := net.SplitHostPort(t.Host); err == nil {
		return host
	}
	return t.Host
}
