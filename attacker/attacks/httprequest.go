package attacks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// HTTPRequest has the parameters of http-request.
type HTTPRequest struct {
	Call
	// Protocol is http1 (default) or http2.
	Protocol Protocol `json:"protocol,omitempty" jsonschema:"enum=http1,enum=http2,default=http1"`
	// Headers are sent beside the ones that every request has, a line a value.
	Headers map[string][]string `json:"headers,omitempty"`
	// Token is sent as Authorization: Bearer; without it, nothing is.
	Token *attacker.Token `json:"token,omitempty"`
}

// Loot asks for the token.
func (p *HTTPRequest) Loot() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Check refuses what cannot be sent.
func (p *HTTPRequest) Check() error {
	if err := oneOf("protocol", p.Protocol, HTTP1, HTTP2); err != nil {
		return err
	}
	for name, values := range p.Headers {
		if !isToken(name) {
			return fmt.Errorf("header name %q is not a token", name)
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") {
				return fmt.Errorf("header %s has a value with a line break", name)
			}
		}
	}
	return errors.Join(checkTokens(p.Token), p.Call.Check())
}

func httpRequest() attacker.Attack {
	return attacker.New("http-request", "Send a plain request",
		`Sends one HTTP request from the foothold in plain text, as an application would.
If the foothold has a sidecar, the sidecar adds mutual TLS and the foothold's
own identity. Otherwise the request stays in plain text. The request can carry
extra headers and a bearer token, so that a workload can replay a leaked token
that was issued to another.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p HTTPRequest, emit func(attacker.Observation)) error {
			token, err := bearer(p.Token)
			if err != nil {
				return err
			}
			k := p.request(nonce(), t, p.Protocol)
			k.Headers = p.Headers
			authorize(&k, token)
			emit(f.Request(ctx, k))
			return nil
		})
}
