package attacks

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/attacker"
)

// bearer is the token to send, forged where its spec says so.
func bearer(t *attacker.Token) (string, error) {
	if t == nil {
		return "", nil
	}
	if t.Held == "" {
		return "", fmt.Errorf("no token of %s is held", t.Of)
	}
	s, err := Forge(t.Held, *t, t.PublicPEM)
	if err != nil {
		return "", fmt.Errorf("forge token of %s: %w", t.Of, err)
	}
	return s, nil
}

// checkTokens refuses forgeries that cannot be made; tokens that are not there
// are fine.
func checkTokens(ts ...*attacker.Token) error {
	for _, t := range tokens(ts...) {
		if err := checkForgery(*t); err != nil {
			return err
		}
	}
	return nil
}

// authorize adds a bearer token to a request; an empty one adds nothing.
func authorize(k *attacker.Request, token string) {
	if token == "" {
		return
	}
	const name = "authorization"
	headers := maps.Clone(k.Headers)
	if headers == nil {
		headers = make(map[string][]string, 1)
	}
	headers[name] = append(slices.Clone(headers[name]), "Bearer "+token)
	k.Headers = headers
}

// tokens lists the tokens that are there, for Loot.
func tokens(ts ...*attacker.Token) []*attacker.Token {
	var held []*attacker.Token
	for _, t := range ts {
		if t != nil {
			held = append(held, t)
		}
	}
	return held
}
