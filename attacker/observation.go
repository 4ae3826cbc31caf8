// Package attacker does hostile and honest things to a mesh and says what it
// saw. It judges nothing: see package assertions.
package attacker

import (
	"net/netip"
	"time"
)

// Reach is how far an attempt got in the attacker's own belief.
type Reach string

// The reaches, from nothing to an answer.
const (
	Nowhere   Reach = "nowhere"   // no connection
	Transport Reach = "transport" // TCP was open
	Handshake Reach = "handshake" // the TLS handshake ended on our side; in TLS 1.3 the server may still refuse
	Replied   Reach = "reply"     // an application answer arrived
)

// Layer says where a refusal was met.
type Layer string

// The layers a refusal can be met at.
const (
	LayerDrop   Layer = "drop"   // silence until the deadline
	LayerSocket Layer = "socket" // no socket could be had here
	LayerDNS    Layer = "dns"
	LayerTCP    Layer = "tcp" // refused, reset or closed without a TLS alert
	LayerTLS    Layer = "tls"
	LayerHTTP   Layer = "http"
	LayerGRPC   Layer = "grpc"
	LayerToken  Layer = "token"
	LayerCA     Layer = "ca"
	LayerApp    Layer = "app"
)

// A Refusal is a "no" as the attacker saw it. It is data, never an error.
type Refusal struct {
	Layer Layer  `json:"layer"`
	Code  int    `json:"code,omitempty"` // HTTP status, gRPC code or TLS alert number
	Text  string `json:"text,omitempty"` // what was said, at most 256 bytes, without secrets
	By    string `json:"by,omitempty"`   // who said so, as far as the attacker could see (the server header of a reply)
}

// A Reply is an application's answer.
type Reply struct {
	Status int    `json:"status,omitempty"` // HTTP status; 0 for a raw TCP answer
	Body   string `json:"body,omitempty"`   // at most 256 bytes
	By     string `json:"by,omitempty"`     // epoch of the probe that answered, empty when it was not a probe
	// Holds are the names of the canaries that were found in the whole answer,
	// sorted. What was found, and the rest of the answer, is kept nowhere.
	Holds []string `json:"holds,omitempty"`
}

// Identity is what a peer proved in a TLS handshake.
type Identity struct {
	URIs     []string  `json:"uris,omitempty"`
	DNS      []string  `json:"dns,omitempty"` // Linkerd identities are DNS names
	Serial   string    `json:"serial,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"`
}

// An Observation is what one attempt saw. It carries no judgement.
type Observation struct {
	Nonce  string         `json:"nonce"`
	Start  time.Time      `json:"start"`
	End    time.Time      `json:"end"`
	Local  netip.AddrPort `json:"local,omitzero"` // joins with proxy logs where no nonce could travel
	Remote netip.AddrPort `json:"remote,omitzero"`
	// Related are the own ends of connections that the attempt made on its
	// way, to a certificate authority for example.
	Related []netip.AddrPort `json:"related,omitempty"`
	// LogKeys find the attempt in logs that hold neither its nonce nor an
	// address: the identity that was shown, a space and the path.
	LogKeys    []string `json:"logKeys,omitempty"`
	Seen       Reach    `json:"seen"`
	Connection string   `json:"connection,omitempty"` // "fresh" or the name of a kept connection
	Peer       Identity `json:"peer,omitzero"`
	Refusal    *Refusal `json:"refusal,omitempty"`
	Reply      *Reply   `json:"reply,omitempty"`
}

// A Receipt is what a target wrote down about a request that arrived.
type Receipt struct {
	Epoch    string         `json:"epoch"` // of the process that received it
	Seq      uint64         `json:"seq"`   // from 1, without gaps, per epoch
	At       time.Time      `json:"at"`
	Workload string         `json:"workload"` // where it lies; set by who collects it
	Nonce    string         `json:"nonce"`
	Port     int            `json:"port"`
	Protocol string         `json:"protocol"` // HTTP/1.1, HTTP/2.0, tcp
	TLS      bool           `json:"tls,omitempty"`
	Method   string         `json:"method,omitempty"`
	Path     string         `json:"path,omitempty"` // as it arrived, undecoded
	Host     string         `json:"host,omitempty"`
	Identity []string       `json:"identity,omitempty"` // the identities the target believes: forwarded by its proxy, or read from a client certificate; URIs, or DNS names where there is no URI
	Remote   netip.AddrPort `json:"remote,omitzero"`
}

// Receipts is a page of a target's receipts.
type Receipts struct {
	Epoch string    `json:"epoch"`
	Last  uint64    `json:"last"` // highest sequence number given out so far
	Items []Receipt `json:"items"`
	// Lost counts the receipts of this page's span that were overwritten before
	// they were asked for: a target keeps a bounded number. Nothing can be
	// called blocked across them.
	Lost uint64 `json:"lost,omitempty"`
}
