// Package istio is the real Istio: on provider local istiod, pilot-agents and
// Envoys as processes, before a Kubernetes API without nodes; on a cluster with
// nodes Istio's own charts, and proxies that its webhook puts into pods. Only
// where things run differs, which is what a place, a pilot, a seat and a
// platform are for.
//
// Every range has an istiod of its own, with its own root of trust, its own
// root namespace and the namespaces that it selects: so ranges share nothing
// but the API, and what a scenario does to one mesh is not done to another.
// On local an istiod and its pilot-agents run on the control network; the
// Envoys run beside their workloads and are joined to their agents by sockets,
// so that an agent can be restarted, and a leaf renewed, without a request
// being lost.
//
// What binds when: rules, tokens and the mode of mutual TLS travel in
// listeners. A change replaces filter chains; connections on the old ones end
// with the drain, which is a second here. Trust is what the agents deliver as
// secrets, and binds the next handshake.
package istio

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names of the programs and files in Release.Programs. The first one's
// version is that of the release.
const (
	ProgramPilot     = "pilot-discovery"
	ProgramAgent     = "pilot-agent"
	ProgramEnvoy     = "envoy"
	FileCRDs         = "istio-crds"
	FileBootstrap    = "istio-bootstrap"
	programEtcd      = kubeapi.ProgramEtcd
	programAPIServer = kubeapi.ProgramServer
)

// Programs are all that the mesh needs.
func Programs() []string {
	return []string{ProgramPilot, ProgramAgent, ProgramEnvoy, programEtcd, programAPIServer, kubeapi.ProgramController, FileCRDs, FileBootstrap}
}

// The ports and the mark of a sidecar, and its ports that are not captured.
const (
	portInbound  = 15006
	portOutbound = 15001
	mark         = 1337

	portReady = 15021
	portStats = 15090

	user = 1337 // whom the mesh's own rules spare
)

// A Mesh is Istio. The zero value works.
type Mesh struct {
	// Workers is how many worker threads a sidecar has; workers.Default when
	// zero. A change reaches them at different moments.
	Workers int
	// Drain is how long a replaced filter chain is kept for, in whole seconds;
	// one when zero, where Istio's own default is 45. Zero of it would cut
	// honest requests in flight.
	Drain time.Duration
	// Own is that istio-iptables redirects, and not the provider.
	Own bool
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

// OwnRules is the mesh whose pilot-agent redirects.
func (m Mesh) OwnRules() meshes.Mesh {
	m.Own = true
	return m
}

// Name is "istio".
func (Mesh) Name() string { return "istio" }

// Capabilities are all there are.
func (Mesh) Capabilities(meshes.Release) []meshes.Capability {
	return []meshes.Capability{
		meshes.CanAuthorize, meshes.CanTokens, meshes.CanRotate,
		meshes.CanSignal, meshes.CanWithhold, meshes.CanShortLive, meshes.CanSignAccounts,
		meshes.CanAudit,
	}
}

// Render gives the objects that a policy is made of, as istiod reads them, in
// the order in which they are written.
func (Mesh) Render(r clusters.Range, p policy.Policy) ([]meshes.Object, error) {
	placed, err := render(r, p, "")
	if err != nil {
		return nil, err
	}
	out := make([]meshes.Object, 0, len(placed))
	for _, o := range placed {
		body, err := json.MarshalIndent(o.object, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", o.workload, err)
		}
		meta, _ := o.object["metadata"].(map[string]any)
		out = append(out, meshes.Object{
			Workload: o.workload, Kind: fmt.Sprint(o.object["kind"]),
			Name: fmt.Sprintf("%v/%v", meta["namespace"], meta["name"]), Body: append(body, '\n'),
		})
	}
	return out, nil
}

// placed is an object and whose workload it is for; nobody's is the range's.
type placed struct {
	workload string
	object   kubeapi.Object
}

// render is pure. The salt makes the marks of two revisions differ whose
// policies are the same.
func render(r clusters.Range, p policy.Policy, salt string) ([]placed, error) {
	switch {
	case p.Changes.KeepStreams:
		return nil, errors.New("keep open streams: how long they live is set when a proxy starts")
	case p.Identity.NoRenewal:
		return nil, errors.New("let leaves run out: a pilot-agent renews as long as there is an istiod")
	}
	out := []placed{{object: peerDefault(r, p)}}
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		if o, ok := plaintextPorts(w, p); ok {
			out = append(out, placed{w.Name, o})
		}
		o, ok, err := rules(r, p, w, salt)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		if ok {
			out = append(out, placed{w.Name, o})
		}
		o, ok, err = tokens(r, p, w)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		if ok {
			out = append(out, placed{w.Name, o})
		}
	}
	trust, err := trustFilters(r, p)
	if err != nil {
		return nil, fmt.Errorf("render the trust of %s: %w", r.Name, err)
	}
	for _, o := range trust {
		out = append(out, placed{object: o})
	}
	return out, nil
}
