// Package consul is HashiCorp Consul: a real server for every range, sidecars
// from consul connect envoy, and a root that the harness made.
//
// What binds when: intentions are RBAC filters in the public listener of the
// target, so a change replaces its filter chain. New connections meet it at
// once; what is open lives on until the drain time (a second) has ended.
// Consul gathers changes for 200 ms before it sends any.
//
// What Consul cannot say, so that mutants and attempts that need it are limited
// to other meshes: a service has one port and one protocol, so rules have no
// ports; the namespace is no part of an identity; the trust domain is compared
// exactly, certificates are always demanded and their time is always looked at;
// a token that does not verify is no token, and not a refusal; the clock skew of
// a jwt-provider is taken and never handed to the proxies; a leaf lives for an
// hour at least. See docs/observed-consul.md.
package consul

import (
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names of the programs in Release.Programs.
const (
	Program      = "consul"
	ProgramProxy = "envoy"
)

// Programs are all that the mesh needs.
func Programs() []string {
	return []string{Program, ProgramProxy, kubeapi.ProgramEtcd, kubeapi.ProgramServer, kubeapi.ProgramController}
}

// The ports and the mark of a sidecar.
const (
	portPublic   = 20000 // takes mutual TLS
	portOutbound = 15001
	mark         = 1337
	user         = 1337 // whom the mesh's own rules spare
)

// A Mesh is Consul. The zero value works.
type Mesh struct {
	// Workers is how many worker threads a sidecar has; proxy.DefaultWorkers when
	// zero. A change reaches them at different moments.
	Workers int
	// Own is that Consul's own command redirects, and not the provider.
	Own bool

	// lose, for tests, is what a server that accepts a policy and does not
	// enforce all of it gets of one; nil gets all.
	lose func(policy.Policy) policy.Policy
}

var (
	_ meshes.Redirecting = Mesh{}
	_ meshes.Threaded    = Mesh{}
)

// WithWorkers is the mesh whose sidecars have n worker threads each.
func (m Mesh) WithWorkers(n int) meshes.Mesh {
	m.Workers = n
	return m
}

// OwnRules is the mesh whose consul connect redirect-traffic redirects.
func (m Mesh) OwnRules() meshes.Mesh {
	m.Own = true
	return m
}

// Render gives the configuration entries of a range, in the order in which
// they are written.
func (Mesh) Render(r clusters.Range, p policy.Policy) ([]meshes.Object, error) {
	entries, err := render(r, p)
	if err != nil {
		return nil, err
	}
	var out []meshes.Object
	for _, e := range entries {
		out = append(out, meshes.Object{Kind: e.kind, Name: e.name, Body: e.body})
	}
	return out, nil
}

// service is the name that a workload has in Consul: its account, which is all
// of an identity that Consul knows.
func service(w clusters.Workload) string { return w.Account }

// identity is Consul's form of a SPIFFE ID.
func spiffeID(trustDomain string, w clusters.Workload) string {
	return "spiffe://" + trustDomain + "/ns/default/dc/" + datacenter + "/svc/" + service(w)
}
