// Package policy describes the policies that a mesh must enforce, in terms that no
// single mesh owns. It says what a policy admits, and lists the misconfigurations of
// a policy: one file for each area, with its type and its misconfigurations.
package policy

import (
	"slices"
	"time"
)

// MTLS says whether a workload's proxy requires mutual TLS of its callers.
type MTLS string

// The modes of mutual TLS.
const (
	Strict     MTLS = "strict"
	Permissive MTLS = "permissive" // plaintext is accepted too, and carries no identity
)

// A Policy is what a mesh must enforce. The zero value allows nothing and requires
// mutual TLS.
type Policy struct {
	MTLS      MTLS      `json:"mtls,omitempty"`      // strict if empty
	Plaintext []int     `json:"plaintext,omitempty"` // ports that accept plaintext from anyone, whatever MTLS says; opaque to the proxy
	Open      bool      `json:"open,omitempty"`      // a workload that no rule selects accepts every call
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

// Lifetimes limits issued leaf certificates.
type Lifetimes struct {
	Leaf time.Duration `json:"leaf,omitempty"` // an hour if zero; renewed at half of it
	// NoRenewal lets leaf certificates expire.
	NoRenewal bool `json:"noRenewal,omitempty"`
}

// Logging says what proxies log.
type Logging struct {
	NoAddress bool `json:"noAddress,omitempty"` // without the caller's address
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
