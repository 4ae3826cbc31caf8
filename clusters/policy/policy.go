// Package policy has the policies that a mesh is asked to enforce, in no mesh's
// own words, what they admit, and the misconfigurations that can be made in
// them: one file an area, a type beside its misconfigurations.
package policy

import (
	"slices"
	"time"
)

// MTLS is what a workload's proxy demands of who calls it.
type MTLS string

// The modes of mutual TLS.
const (
	Strict     MTLS = "strict"
	Permissive MTLS = "permissive" // plaintext is taken as well, and then has no identity
)

// A Policy is what a mesh is asked to enforce, in no mesh's own words. The
// zero value allows nothing and demands mutual TLS.
type Policy struct {
	MTLS      MTLS      `json:"mtls,omitempty"`      // strict when empty
	Plaintext []int     `json:"plaintext,omitempty"` // ports of every target that take plaintext whatever MTLS says, open to all; opaque to the proxy
	Open      bool      `json:"open,omitempty"`      // where no rule selects a target, all is allowed
	Allow     []Rule    `json:"allow,omitempty"`
	Tokens    *Tokens   `json:"tokens,omitempty"`
	Trust     Trust     `json:"trust,omitzero"`
	Identity  Lifetimes `json:"identity,omitzero"`
	Changes   Changes   `json:"changes,omitzero"`
	Logging   Logging   `json:"logging,omitzero"`
	Issuance  Issuance  `json:"issuance,omitzero"`
	Exposure  Exposure  `json:"exposure,omitzero"`
	Admission Admission `json:"admission,omitzero"`
	Fetching  Fetching  `json:"fetching,omitzero"`
}

// Lifetimes bounds issued leaves.
type Lifetimes struct {
	Leaf time.Duration `json:"leaf,omitempty"` // an hour when zero; renewed at half
	// NoRenewal lets leaves run out.
	NoRenewal bool `json:"noRenewal,omitempty"`
}

// Logging says what the proxies write down.
type Logging struct {
	NoAddress bool `json:"noAddress,omitempty"` // the caller's address is left out
	// NoAudit lets targets that no rule selects go unnoticed.
	NoAudit bool `json:"noAudit,omitempty"`
}

// Clone is a copy that shares no memory with the policy.
func (p Policy) Clone() Policy {
	p.Plaintext = slices.Clone(p.Plaintext)
	p.Allow = slices.Clone(p.Allow)
	for i := range p.Allow {
		r := &p.Allow[i]
		r.From = slices.Clone(r.From)
		r.Methods = slices.Clone(r.Methods)
		r.Paths = slices.Clone(r.Paths)
		r.Ports = slices.Clone(r.Ports)
		if r.Token != nil {
			claim := *r.Token
			r.Token = &claim
		}
	}
	if p.Tokens != nil {
		tokens := *p.Tokens
		tokens.At = slices.Clone(tokens.At)
		tokens.Issuers = slices.Clone(tokens.Issuers)
		p.Tokens = &tokens
	}
	p.Trust.ExtraRoots = slices.Clone(p.Trust.ExtraRoots)
	return p
}
