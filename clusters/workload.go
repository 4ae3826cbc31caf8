// Package clusters holds the plain types and the interfaces of the places and
// the meshes that are attacked. Providers and meshes live in its subpackages;
// package builtin lists them.
package clusters

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Hop is a kind of enforcer between two workloads.
type Hop string

// The hops a workload's traffic may pass.
const (
	HopSidecar Hop = "sidecar"
	HopNode    Hop = "node"
	HopGateway Hop = "gateway"
)

// A Workload is one member of the cast in one range.
type Workload struct {
	Name        string     `json:"name"` // unique in its range: web, bank, staging/web
	Range       string     `json:"range"`
	Cluster     string     `json:"cluster,omitempty"`
	TrustDomain string     `json:"trustDomain,omitempty"`
	Namespace   string     `json:"namespace"`
	Account     string     `json:"account"`
	Meshed      bool       `json:"meshed"` // false: no proxy in front of it
	Hops        []Hop      `json:"hops,omitempty"`
	Address     netip.Addr `json:"address"`
	VIP         netip.Addr `json:"vip,omitzero"`       // the service address that meshed callers use; Address when it is none
	Identity    string     `json:"identity,omitempty"` // the mesh's own form of its SPIFFE ID
}

// Reached is the address that a caller uses for the workload.
func (w Workload) Reached(from Workload) netip.Addr {
	if from.Meshed && w.VIP.IsValid() {
		return w.VIP
	}
	return w.Address
}

// ID is the workload's SPIFFE ID: the mesh's own form or else
// spiffe://<trust domain>/ns/<namespace>/sa/<account>.
func (w Workload) ID() string {
	if w.Identity != "" {
		return w.Identity
	}
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", w.TrustDomain, w.Namespace, w.Account)
}

// Serves says whether a workload of a mesh has a service; who is outside of
// the mesh is reached at its own address.
func (w Workload) Serves() bool { return w.Meshed && w.member().Serves }

// Replaceable says whether a workload of a mesh may come and go during a run.
func (w Workload) Replaceable() bool { return w.Meshed && w.member().Replaceable }

// member is the workload's part; the zero value where it plays none.
func (w Workload) member() Member { return memberOf(func(m Member) bool { return m.Name == w.Name }) }

// A Member is a part in the cast. No mesh and no provider knows a member by its
// name: what matters to them are these fields.
type Member struct {
	Name, Namespace, Account string
	Meshed                   bool // it has a proxy
	Serves                   bool // others call it
	// Tenant is the one whose account is the ordinary one that a policy speaks of
	// where it says what accounts may do on the platform.
	Tenant bool
	// Replaceable may be deleted and made anew during a run: nobody calls it, and
	// no honest traffic comes from it.
	Replaceable bool
	// Sample is one of those whose requests show that a change has reached all
	// connections: one of each kind of caller.
	Sample bool
}

// Cast is everybody in a range, in address order.
func Cast() []Member {
	return []Member{
		{Name: "web", Namespace: "prod", Account: "web", Meshed: true, Sample: true},
		{Name: "bank", Namespace: "prod", Account: "bank", Meshed: true, Serves: true},
		{Name: "thief", Namespace: "prod", Account: "thief", Meshed: true, Tenant: true, Sample: true},
		{Name: "outsider", Namespace: "legacy", Account: "outsider", Sample: true},
		{Name: "staging/web", Namespace: "staging", Account: "web", Meshed: true},
		{Name: "sink", Namespace: "outside", Account: "sink", Serves: true},
		{Name: "lookalike", Namespace: "prod", Account: "webb", Meshed: true, Replaceable: true},
	}
}

// Server is the member of the mesh that others call.
func Server() Member { return memberOf(func(m Member) bool { return m.Meshed && m.Serves }) }

func memberOf(is func(Member) bool) Member {
	i := slices.IndexFunc(Cast(), is)
	if i < 0 {
		return Member{}
	}
	return Cast()[i]
}

// The ports that a serving workload opens.
const (
	PortHTTP   = 8080 // the service
	PortHealth = 8081 // health checks, plaintext by policy
	PortOpaque = 9001 // opaque TCP, plaintext by policy
	PortTCP    = 9000 // the service as opaque TCP
	PortAdmin  = 9090 // a port that the service never declared
)

// A Range is one isolated stage with the whole cast. Its trust material is
// public: no private key is ever in it.
type Range struct {
	Name        string            `json:"name"`
	TrustDomain string            `json:"trustDomain"`
	Workloads   []Workload        `json:"workloads"`
	Roots       map[string]string `json:"-"` // PEM certificates by name: "mesh", "forged"
	Issuers     map[string]Issuer `json:"-"` // token issuers by name
}

// An Issuer is the public half of a token issuer.
type Issuer struct {
	URL  string // the iss claim
	JWKS string // its public keys
	PEM  string // the same public key, PEM, as an attacker would find it
}

// Tenant is the workload whose account a policy speaks of where it says what an
// ordinary account may do on the platform.
func (r Range) Tenant() (Workload, error) {
	return r.Workload(memberOf(func(m Member) bool { return m.Tenant }).Name)
}

// Workload finds a member of the range by name.
func (r Range) Workload(name string) (Workload, error) {
	i := slices.IndexFunc(r.Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, fmt.Errorf("range %s has no %s", r.Name, name)
	}
	return r.Workloads[i], nil
}

// A Revision names a state that a mesh was asked to reach.
type Revision struct {
	ID    string    `json:"id"`
	Asked time.Time `json:"asked"`
}
