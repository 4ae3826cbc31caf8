// Package signals has what a mesh says of the requests that it passed on and
// refused, and the queries by which the signals of one attempt are found.
package signals

import (
	"net/netip"
	"time"
)

// FromAuthority is whose signals those of a mesh's certificate authority are.
const FromAuthority = "authority"

// FromPlatform is whose signals those of the platform's API are.
const FromPlatform = "platform"

// LayerCA is the layer of a signal about a certificate that was issued or
// refused. Identity then holds what it was issued for.
const LayerCA = "ca"

// A Signal is a raw trace that a mesh leaves of one request or connection.
type Signal struct {
	At       time.Time      `json:"at"`       // when it happened, by the proxy's clock
	Seen     time.Time      `json:"seen"`     // when the harness got it
	Workload string         `json:"workload"` // whose proxy spoke
	Inbound  bool           `json:"inbound"`  // towards that workload's application
	Layer    string         `json:"layer"`    // tls, tcp or http: where the proxy ended it; http too when it was served
	Nonce    string         `json:"nonce,omitempty"`
	Source   netip.AddrPort `json:"source,omitzero"` // the caller's address and port
	Local    netip.AddrPort `json:"local,omitzero"`
	Onward   netip.AddrPort `json:"onward,omitzero"`    // the proxy's own end of the connection to the next hop, which is who the next hop saw
	Identity []string       `json:"identity,omitempty"` // URIs of the verified peer certificate
	Serial   string         `json:"serial,omitempty"`
	Method   string         `json:"method,omitempty"`
	Path     string         `json:"path,omitempty"`
	Status   int            `json:"status,omitempty"`
	Refused  bool           `json:"refused"`
	Reason   string         `json:"reason,omitempty"` // a stable word: certificate_expired, rbac_access_denied_matched_policy[none], ...
	Raw      string         `json:"raw,omitempty"`    // the proxy's own words
	Upstream bool           `json:"upstream"`         // the request went on to the next hop
}

// A Query asks for the signals of one attempt. Any field that is set joins:
// a signal matches by nonce, or by source address and port.
type Query struct {
	Nonces  []string
	Sources []netip.AddrPort
	Since   time.Time
	// Want ends the wait as soon as it is true of what was found; nil waits
	// until one signal from an inbound proxy matches. The context ends it in
	// any case, and that is no error: what was found so far is returned.
	Want func([]Signal) bool
}
