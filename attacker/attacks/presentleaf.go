package attacks

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// PresentLeaf has the parameters of present-leaf.
type PresentLeaf struct {
	Call
	// Leaf is the certificate and key to present; without "of" none is.
	Leaf attacker.Leaf `json:"leaf"`
	// AwaitExpiry presents the leaf only when it has run out.
	AwaitExpiry bool `json:"awaitExpiry,omitempty"`
	// Protocol is http1 (default), http2 or tcp, within TLS.
	Protocol Protocol `json:"protocol,omitempty" jsonschema:"enum=http1,enum=http2,enum=tcp,default=http1"`
	// ALPN is offered in the handshake; by default what the protocol's
	// ordinary clients offer.
	ALPN []string `json:"alpn,omitempty"`
	// MaxVersion of TLS: 1.2, or the newest when empty.
	MaxVersion string `json:"maxVersion,omitempty" jsonschema:"enum=1.2"`
	// Token is sent as Authorization: Bearer; not for tcp.
	Token *attacker.Token `json:"token,omitempty"`
}

// Loot asks for the leaf and the token.
func (p *PresentLeaf) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	return []*attacker.Leaf{&p.Leaf}, tokens(p.Token)
}

// Check refuses parameters that contradict each other.
func (p *PresentLeaf) Check() error {
	return errors.Join(
		oneOf("protocol", p.Protocol, HTTP1, HTTP2, TCP),
		oneOf("maxVersion", p.MaxVersion, "1.2"),
		refuse(p.Protocol == TCP && p.Request != "", "raw TCP has no request"),
		refuse(p.Protocol == TCP && p.Token != nil, "raw TCP carries no token"),
		refuse(p.AwaitExpiry && p.Leaf.Of == "", "awaitExpiry is for a leaf"),
		checkTokens(p.Token),
		p.Call.Check(),
	)
}

// awaitExpiry returns when a leaf has run out.
func awaitExpiry(ctx context.Context, f attacker.Foothold, l attacker.Leaf) error {
	block, _ := pem.Decode([]byte(l.Held.Chain))
	if block == nil {
		return fmt.Errorf("the leaf of %s is not PEM", l.Of)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("read leaf of %s: %w", l.Of, err)
	}
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	// A certificate is still valid in the second that it names.
	left := time.NewTimer(leaf.NotAfter.Add(time.Second).Sub(now()))
	defer left.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("the leaf of %s is still valid: %w", l.Of, context.Cause(ctx))
	case <-left.C:
		return nil
	}
}

// rawTLS is a client that presents what it holds and verifies nobody.
func rawTLS(t attacker.Target, p Protocol, alpn []string, maxVersion string, leaf *attacker.KeyPair) *attacker.TLS {
	if len(alpn) == 0 {
		alpn = alpnFor(p)
	}
	return &attacker.TLS{Leaf: leaf, ServerName: serverName(t), ALPN: alpn, MaxVersion: maxVersion}
}

func presentLeaf() attacker.Attack {
	return attacker.New("present-leaf", "Present a certificate",
		`Opens mutual TLS straight to the target's port, bypassing any proxy of the
foothold, and presents the given certificate (leaf). The certificate is expired,
not yet valid, signed by a forged root, from another trust domain, or genuine
and stolen. Then the attack sends a request. Only the answer shows whether the
target accepted the certificate: in TLS 1.3 the client's handshake ends before
the server has checked it.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p PresentLeaf, emit func(attacker.Observation)) error {
			if p.Leaf.Held == nil && p.Leaf.Of != "" {
				return fmt.Errorf("no leaf of %s is held", p.Leaf.Of)
			}
			if p.AwaitExpiry {
				if err := awaitExpiry(ctx, f, p.Leaf); err != nil {
					return err
				}
			}
			token, err := bearer(p.Token)
			if err != nil {
				return err
			}
			k := p.request(nonce(), t, p.Protocol)
			k.TLS = rawTLS(t, p.Protocol, p.ALPN, p.MaxVersion, p.Leaf.Held)
			authorize(&k, token)
			emit(f.Request(ctx, k))
			return nil
		})
}
