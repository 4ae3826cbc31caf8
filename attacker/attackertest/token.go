package attackertest

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// checkToken demands exactly one token, signed by the issuer, for the
// audience, in its time, and issued to the identity that sends it.
func (p Policy) checkToken(r *http.Request, identity string) (status int, why string) {
	if p.Issuer == nil {
		return http.StatusOK, ""
	}
	sent := r.URL.Query()["access_token"]
	for _, v := range r.Header.Values("Authorization") {
		if token, ok := strings.CutPrefix(v, "Bearer "); ok {
			sent = append(sent, token)
		}
	}
	if len(sent) != 1 {
		return http.StatusUnauthorized, map[bool]string{true: "no token", false: "more than one token"}[len(sent) == 0]
	}
	claims, err := p.verify(sent[0])
	switch {
	case errors.Is(err, jwt.ErrExpired):
		return http.StatusUnauthorized, "token is expired"
	case errors.Is(err, jwt.ErrNotValidYet):
		return http.StatusUnauthorized, "token is not valid yet"
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return http.StatusUnauthorized, "token of an unknown issuer"
	case errors.Is(err, jwt.ErrInvalidAudience):
		return http.StatusForbidden, "token for another audience"
	case err != nil:
		return http.StatusUnauthorized, "token is not signed by the issuer"
	case claims.Subject != identity:
		return http.StatusForbidden, "token of another subject"
	}
	return http.StatusOK, ""
}

func (p Policy) verify(token string) (jwt.Claims, error) {
	var claims jwt.Claims
	// The list is what stops alg none and HMAC with a public key.
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims, err
	}
	// Keys come from the issuer only, never from the token's own header.
	keys := p.Issuer.JWKS()
	if err := parsed.Claims(keys, &claims); err != nil {
		return claims, err
	}
	return claims, claims.ValidateWithLeeway(jwt.Expected{
		Issuer:      p.Issuer.URL,
		AnyAudience: jwt.Audience{p.Audience},
		Time:        time.Now(),
	}, 0)
}
