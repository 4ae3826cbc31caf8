package istio

import (
	"net"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

var _ meshes.Planted = (*installed)(nil)

// endpointer is a pilot with endpoints at other addresses than its endpoint's, such as
// ports that a service does not declare.
type endpointer interface {
	// endpoints are as in clusters.Endpoint.
	endpoints() map[string]string
}

// endpoints are the addresses of an istiod, by what is behind them.
func endpoints(p pilot) map[string]string {
	if d, ok := p.(endpointer); ok {
		return d.endpoints()
	}
	at, _, err := net.SplitHostPort(p.endpoint())
	if err != nil {
		return nil // it is nowhere yet
	}
	address := func(port int) string { return net.JoinHostPort(at, strconv.Itoa(port)) }
	return map[string]string{
		identity.EndpointXDS: address(portPilotSecure), identity.EndpointXDSPlaintext: address(portPilotPlain),
		identity.EndpointDebug: address(portPilotHTTP), identity.EndpointMonitoring: address(portPilotMonitor),
	}
}

// controlIdentity is that of a program in the root namespace, which istiod
// takes for one of the control plane.
func controlIdentity(r clusters.Range) string {
	return "spiffe://" + r.TrustDomain + "/ns/" + rootNamespace(r) + "/sa/istiod"
}

// nodes are the ids by which the proxies of a range introduce themselves.
func nodes(r clusters.Range) map[string]string {
	out := map[string]string{}
	for _, w := range r.Workloads {
		if w.Meshed {
			out[w.Name] = strings.Join([]string{"sidecar", w.Address.String(), proxyID(w), w.Namespace + ".svc.cluster.local"}, "~")
		}
	}
	return out
}

// proxyID is what istiod calls a proxy.
func proxyID(w clusters.Workload) string { return pod(w) + "." + w.Namespace }

// Canaries are names and addresses that are in no other range: of a workload,
// what istiod and the API call it; of its configuration, the name that istiod
// gives the rules of its AuthorizationPolicy, which goes to no other proxy; and
// of the control plane, the argument that it was started with.
func (in *installed) Canaries(r clusters.Range) map[string][]string {
	out := map[string][]string{signals.FromAuthority: {"--namespace=" + rootNamespace(r)}}
	for _, w := range r.Workloads {
		if !w.Meshed {
			continue
		}
		known := []string{proxyID(w), w.Namespace + "/" + pod(w), w.ID(), strconv.Quote(w.Address.String())}
		if w.VIP.IsValid() {
			known = append(known, strconv.Quote(w.VIP.String()))
		}
		out[w.Name] = known
		out[w.Name+"/"+meshes.CanaryConfig] = []string{"ns[" + w.Namespace + "]-policy[" + pod(w) + "]", `"name":"` + pod(w) + `","namespace":"` + w.Namespace + `"`}
	}
	return out
}

// wireCluster is a word of package wire, which this package does not link: it
// attacks.
const wireCluster = "cluster"

// Endpoint is istiod's, where pilot-agents ask as well.
func (in *installed) Endpoint(r clusters.Range) identity.Endpoint {
	st, ok := in.stages[r.Name]
	if !ok {
		return identity.Endpoint{}
	}
	image, pull, labels := st.platform.runsPods()
	return identity.Endpoint{
		Protocol: protocol, Parameters: map[string]string{wireCluster: clusterID}, Address: st.pilot.endpoint(), ServerName: pilotName(st.r), Platform: st.platform.endpoint(),
		Identity: controlIdentity(st.r), Endpoints: endpoints(st.pilot), Nodes: nodes(st.r), PodImage: image, PodPull: pull, PodLabels: labels,
	}
}
