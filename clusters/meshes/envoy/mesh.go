// Package envoy is the mesh that a team builds itself from Envoy and SPIFFE:
// one sidecar a workload, configured over xDS by the harness, mutual TLS with
// SPIFFE identities, rules by RBAC and tokens by jwt_authn.
//
// What binds when: HTTP rules and token rules travel as extension
// configurations (ECDS), so they bind the next request of a connection that is
// already open. Trust and leaves travel as secrets (SDS) and bind the next
// handshake. Only the mode of mutual TLS and the plaintext ports are filter
// chains of the listeners. What outlives a change by its nature (an open
// HTTP/2 stream, a TCP connection, a connection that a dropped root vouched
// for) is ended by replacing the filter chain it came through; see cut.go.
package envoy

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// Program is the name of Envoy in Release.Programs.
const Program = "envoy"

// The ports and the mark of a sidecar.
const (
	portInbound  = 15006
	portOutbound = 15001
	mark         = 1337
)

// A Mesh is made of Envoys. The zero value works.
type Mesh struct {
	// Workers is how many worker threads a sidecar has; proxy.DefaultWorkers when
	// zero. A change reaches them at different moments.
	Workers int

	// lose, for tests, is what a control plane that accepts a policy and does
	// not enforce all of it sends of one; nil sends all.
	lose func(policy.Policy) policy.Policy
}

var _ meshes.Threaded = Mesh{}

// WithWorkers is the mesh whose sidecars have n worker threads each.
func (m Mesh) WithWorkers(n int) meshes.Mesh {
	m.Workers = n
	return m
}

// Render gives, for every meshed workload, its listeners, clusters, extension
// configurations and the public half of its secrets (the validation contexts;
// a leaf is never rendered).
func (Mesh) Render(r clusters.Range, p policy.Policy) ([]meshes.Object, error) {
	var out []meshes.Object
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		c, err := render(r, p, w, 0)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		objects, err := c.objects(w.Name)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		out = append(out, objects...)
	}
	return out, nil
}

// config is what one sidecar is told, but for its own leaf.
type config struct {
	listeners, clusters, extensions, secrets []proto.Message
}

// render is pure. The generation names the inbound filter chains: another one
// makes Envoy drain what came through the earlier ones.
func render(r clusters.Range, p policy.Policy, w clusters.Workload, generation int) (config, error) {
	b := builder{r: r, p: p, w: w, generation: generation}
	extensions, err := b.extensions()
	if err != nil {
		return config{}, err
	}
	secrets, err := b.contexts()
	if err != nil {
		return config{}, err
	}
	c := config{
		listeners:  []proto.Message{b.inbound(), b.outbound()},
		clusters:   b.clusters(),
		extensions: extensions,
		secrets:    secrets,
	}
	return c, b.err
}

// builder renders for one workload. Packing a message of ours cannot fail
// unless the message is broken, so the first failure is kept in err and
// reported once.
type builder struct {
	r          clusters.Range
	p          policy.Policy
	w          clusters.Workload
	generation int
	err        error
}
