package attacks

import (
	"context"
	"errors"

	"github.com/meshbreach/meshbreach/attacker"
)

// Form is how an attacker without an identity speaks.
type Form string

// The forms.
const (
	FormHTTP  Form = "http"                    // HTTP without TLS
	FormTCP   Form = "tcp"                     // bytes on a TCP connection
	FormNoTLS Form = "tls-without-certificate" // TLS, and no client certificate in it
)

// PlainText has the parameters of plain-text.
type PlainText struct {
	Call
	// Form is http (default), tcp or tls-without-certificate.
	Form Form `json:"form,omitempty" jsonschema:"enum=http,enum=tcp,enum=tls-without-certificate,default=http"`
	// Protocol is http1 (default) or http2; not for tcp.
	Protocol Protocol `json:"protocol,omitempty" jsonschema:"enum=http1,enum=http2,default=http1"`
	// ALPN is offered in the handshake of tls-without-certificate; by default
	// what the protocol's ordinary clients offer.
	ALPN []string `json:"alpn,omitempty"`
	// MaxVersion of TLS: 1.2, or the newest when empty.
	MaxVersion string `json:"maxVersion,omitempty" jsonschema:"enum=1.2"`
	// Token is sent as Authorization: Bearer; not for tcp.
	Token *attacker.Token `json:"token,omitempty"`
}

// Loot asks for the token.
func (p *PlainText) Loot() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Check refuses parameters that contradict each other.
func (p *PlainText) Check() error {
	tls := p.Form == FormNoTLS
	return errors.Join(
		oneOf("form", p.Form, FormHTTP, FormTCP, FormNoTLS),
		oneOf("protocol", p.Protocol, HTTP1, HTTP2),
		oneOf("maxVersion", p.MaxVersion, "1.2"),
		refuse(!tls && len(p.ALPN) > 0, "alpn is for the form tls-without-certificate"),
		refuse(!tls && p.MaxVersion != "", "maxVersion is for the form tls-without-certificate"),
		refuse(p.Form == FormTCP && p.Protocol != "", "the form tcp has no protocol"),
		refuse(p.Form == FormTCP && p.Request != "", "the form tcp has no request"),
		refuse(p.Form == FormTCP && p.Token != nil, "the form tcp carries no token"),
		checkTokens(p.Token),
		p.Call.Check(),
	)
}

// refuse is an error when the parameters are wrong.
func refuse(wrong bool, why string) error {
	if wrong {
		return errors.New(why)
	}
	return nil
}

func plainText() attacker.Attack {
	return attacker.New("plain-text", "Call the target without an identity",
		`Calls the target without a client certificate: over plain HTTP, raw TCP or TLS.
With TLS, a server in the mesh must ask for a client certificate and refuse a
caller that has none. The call can carry a bearer token, because a token alone
must not replace the workload's identity.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p PlainText, emit func(attacker.Observation)) error {
			token, err := bearer(p.Token)
			if err != nil {
				return err
			}
			protocol := p.Protocol
			if p.Form == FormTCP {
				protocol = TCP
			}
			k := p.request(nonce(), t, protocol)
			if p.Form == FormNoTLS {
				k.TLS = rawTLS(t, protocol, p.ALPN, p.MaxVersion, nil)
			}
			authorize(&k, token)
			emit(f.Request(ctx, k))
			return nil
		})
}
