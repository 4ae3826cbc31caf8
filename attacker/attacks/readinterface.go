package attacks

import (
	"context"
	"errors"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// ReadInterface has the parameters of read-interface.
type ReadInterface struct {
	// Request may have blanks, {bank.namespace}, {bank.account}, {bank.proxy} and
	// {bank.address}, which are filled in with what the range calls them.
	Call
	// Endpoint is the address of the control plane that is asked; the target's own,
	// at Port, when empty.
	Endpoint Endpoint `json:"endpoint,omitempty" jsonschema:"enum=debug,enum=monitoring,enum=catalog,enum=platform"`
	// Token is sent as Authorization: Bearer.
	Token *attacker.Token `json:"token,omitempty"`
	// Leaf is presented as a client certificate, and TLS is spoken.
	Leaf *attacker.Leaf `json:"leaf,omitempty"`
	// Forwarded names a cast member, or the control plane as authority, in the
	// header by which a gateway says whose certificate it saw.
	Forwarded string `json:"forwarded,omitempty"`
}

// Loot asks for the credentials.
func (p *ReadInterface) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	return leaves(p.Leaf), tokens(p.Token)
}

// leaves lists the leaf if it is there, for Holds.
func leaves(l *attacker.Leaf) []*attacker.Leaf {
	if l == nil {
		return nil
	}
	return []*attacker.Leaf{l}
}

// Searches says that the answer is searched for canaries.
func (p *ReadInterface) Searches() bool { return true }

// Check refuses what cannot be sent.
func (p *ReadInterface) Check() error {
	_, path := p.Request.Split()
	return errors.Join(
		oneOf("endpoint", p.Endpoint, EndpointDebug, EndpointMonitoring, EndpointCatalog, EndpointPlatform),
		refuse(p.Endpoint != "" && p.Port != 0, "an endpoint has a port of its own"),
		refuse(p.Endpoint != "" && p.Leaf != nil, "leaf is for the target's own ports"),
		refuse(p.Leaf != nil && p.Leaf.Of == "", "leaf: name its owner with of"),
		checkBlanks(path), checkTokens(p.Token), p.Call.Check(),
	)
}

func readInterface() attacker.Attack {
	return attacker.New("read-interface", "Read an administrative interface",
		`Sends a request to an interface that is meant for operators: the debug paths of
a control plane, the platform's API, the service catalog, or the admin port of
another workload's proxy. The request carries a token, a certificate (leaf) or
no credential. The answer is searched for markers that only the real data can
contain, and is then discarded. An answer is a breach only if it contains a marker.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p ReadInterface, emit func(attacker.Observation)) error {
			k, keys, err := p.question(nonce(), t)
			if err != nil {
				return err
			}
			o := f.Search(ctx, k, t.Canaries)
			o.LogKeys = keys
			emit(o)
			return nil
		})
}

// question is the request, and the log keys that stand for its nonce.
func (p ReadInterface) question(nonce string, t attacker.Target) (k attacker.Request, keys []string, err error) {
	k = p.request(nonce, t, HTTP1)
	if k.Path, err = fill(k.Path, t); err != nil {
		return k, nil, err
	}
	if p.Endpoint != "" {
		if k.Address, err = behind(t, p.Endpoint); err != nil {
			return k, nil, err
		}
		k.Host = ""
	}
	token, err := bearer(p.Token)
	if err != nil {
		return k, nil, err
	}
	authorize(&k, token)
	if p.Token != nil && t.Authority != nil {
		path, _, _ := strings.Cut(k.Path, "?")
		keys = []string{t.Identities[p.Token.Of] + " " + path}
	}
	forwarded, err := identity(t, p.Forwarded)
	if err != nil {
		return k, nil, err
	}
	if forwarded != "" {
		add(&k, "x-forwarded-client-cert", "URI="+forwarded)
	}
	switch p.Endpoint {
	case EndpointPlatform:
		// The platform's log holds the user agent.
		add(&k, "user-agent", nonce)
		k.Protocol = attacker.ProtocolHTTP2
		k.TLS = &attacker.TLS{ServerName: "kubernetes.default.svc", ALPN: []string{"h2"}}
	case EndpointDebug, EndpointMonitoring, EndpointCatalog:
		// Where a log holds the query, the nonce is in it.
		sign := "?"
		if strings.Contains(k.Path, "?") {
			sign = "&"
		}
		k.Path += sign + "nonce=" + nonce
	}
	if p.Leaf != nil {
		k.TLS = &attacker.TLS{Leaf: p.Leaf.Held, ServerName: serverName(t), ALPN: alpnFor(HTTP1)}
	}
	return k, keys, nil
}

// add sets a header of a request.
func add(k *attacker.Request, name, value string) {
	if k.Headers == nil {
		k.Headers = map[string][]string{}
	}
	k.Headers[name] = []string{value}
}
