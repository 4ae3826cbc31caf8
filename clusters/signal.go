package clusters

import (
	"net/netip"
	"time"
)

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

// An Alert is what a detector made of signals.
type Alert struct {
	At       time.Time      `json:"at"`
	Kind     string         `json:"kind"`
	Nonce    string         `json:"nonce,omitempty"`
	Source   netip.AddrPort `json:"source,omitzero"`
	Identity string         `json:"identity,omitempty"`
	Text     string         `json:"text"`
}

// AlertUnselected is a target that no rule of the policy selects, and that is
// open for that reason.
const AlertUnselected = "no-policy-selects-workload"

// AlertForeignAddress is an identity seen at an address where no workload of
// that identity lives.
const AlertForeignAddress = "identity-at-foreign-address"
