// Package istio runs the real Istio. On provider local, istiod, the
// pilot-agents and the Envoys are processes, and the Kubernetes API has no
// nodes. On a cluster with nodes, Istio's own charts install istiod, and its
// webhook injects the proxies. Four interfaces hide the difference: runtime
// (where a range runs), pilot (its istiod), instance (one proxy) and platform
// (what issues account tokens).
//
// Every range has its own istiod, root of trust and root namespace, and its
// istiod sees only the range's namespaces. Ranges share nothing but the API, so
// a scenario changes one mesh and no other. On local, istiod and the
// pilot-agents run on the control network. The Envoys run beside their
// workloads and reach their agents through sockets, so an agent can be
// restarted, and a leaf renewed, without losing a request.
//
// When a change takes effect: rules, tokens and the mode of mutual TLS travel
// in listeners. A change replaces filter chains, and connections on the old
// chains end with the drain, which takes a second here. The agents deliver
// certificates and roots as secrets, which apply to the next handshake.
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

// Programs lists everything that the mesh needs on provider local.
func Programs() []string {
	return []string{ProgramPilot, ProgramAgent, ProgramEnvoy, programEtcd, programAPIServer, kubeapi.ProgramController, FileCRDs, FileBootstrap}
}

// A sidecar's ports, its firewall mark, and the ports that are not redirected.
const (
	portInbound  = 15006
	portOutbound = 15001
	mark         = 1337

	portReady = 15021
	portStats = 15090

	user = 1337 // Istio's own redirection rules exempt this user
)

// A Mesh is Istio. The zero value works.
type Mesh struct {
	// Workers is the number of worker threads of a sidecar; the package proxy's
	// default when zero. A change reaches the workers at different moments.
	Workers int
	// Drain is how long a replaced filter chain is kept, in whole seconds; one
	// second when zero. Istio's own default is 45. A drain of zero seconds would
	// cut honest requests in flight.
	Drain time.Duration
	// Own lets istio-iptables redirect traffic instead of the provider.
	Own bool
}

var (
	_ meshes.Redirecting = Mesh{}
	_ meshes.Threaded    = Mesh{}
)

// WithWorkers returns the mesh with n worker threads in each sidecar.
func (m Mesh) WithWorkers(n int) meshes.Mesh {
	m.Workers = n
	return m
}

// OwnRules returns the mesh with redirection by its own pilot-agent.
func (m Mesh) OwnRules() meshes.Mesh {
	m.Own = true
	return m
}

// Render returns the objects of a policy, as istiod reads them, in the order
// in which they are written.
func (Mesh) Render(r clusters.Range, p policy.Policy) ([]meshes.Object, error) {
	objects, err := render(r, p, "")
	if err != nil {
		return nil, err
	}
	out := make([]meshes.Object, 0, len(objects))
	for _, o := range objects {
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

// rendered is an object and the workload that it is for. An empty workload
// means the whole range.
type rendered struct {
	workload string
	object   kubeapi.Object
}

// render is pure. The salt gives two revisions of the same policy different
// rule versions.
func render(r clusters.Range, p policy.Policy, salt string) ([]rendered, error) {
	switch {
	case p.Changes.KeepStreams:
		return nil, errors.New("keep open streams: how long they live is set when a proxy starts")
	case p.Identity.NoRenewal:
		return nil, errors.New("let leaves run out: a pilot-agent renews as long as there is an istiod")
	}
	out := []rendered{{object: peerDefault(r, p)}}
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		if o, ok := plaintextPorts(w, p); ok {
			out = append(out, rendered{w.Name, o})
		}
		o, ok, err := rules(r, p, w, salt)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		if ok {
			out = append(out, rendered{w.Name, o})
		}
		o, ok, err = tokens(r, p, w)
		if err != nil {
			return nil, fmt.Errorf("render the policy for %s: %w", w.Name, err)
		}
		if ok {
			out = append(out, rendered{w.Name, o})
		}
	}
	trust, err := trustFilters(r, p)
	if err != nil {
		return nil, fmt.Errorf("render the trust of %s: %w", r.Name, err)
	}
	for _, o := range trust {
		out = append(out, rendered{object: o})
	}
	return out, nil
}

// drain is how long a replaced filter chain is kept.
func (m Mesh) drain() string {
	return fmt.Sprintf("%ds", max(1, int(m.Drain/time.Second)))
}
