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

// endpointer is a pilot some of whose endpoints have another address than its main
// one, such as ports that a service does not declare.
type endpointer interface {
	// endpoints returns addresses by endpoint, as in identity.Endpoint.
	endpoints() map[string]string
}

// endpoints returns the addresses of an istiod by endpoint.
func endpoints(p pilot) map[string]string {
	if d, ok := p.(endpointer); ok {
		return d.endpoints()
	}
	at, _, err := net.SplitHostPort(p.endpoint())
	if err != nil {
		return nil // it has no address yet
	}
	address := func(port int) string { return net.JoinHostPort(at, strconv.Itoa(port)) }
	return map[string]string{
		identity.EndpointXDS: address(portPilotSecure), identity.EndpointXDSPlaintext: address(portPilotPlain),
		identity.EndpointDebug: address(portPilotHTTP), identity.EndpointMonitoring: address(portPilotMonitor),
	}
}

// controlIdentity is the identity of a program in the root namespace. istiod treats
// such a program as part of the control plane.
func controlIdentity(r clusters.Range) string {
	return "spiffe://" + r.TrustDomain + "/ns/" + rootNamespace(r) + "/sa/istiod"
}

// nodes returns the ids that the proxies of a range send, by workload.
func nodes(r clusters.Range) map[string]string {
	out := map[string]string{}
	for _, w := range r.Workloads {
		if w.Meshed {
			out[w.Name] = strings.Join([]string{"sidecar", w.Address.String(), proxyID(w), w.Namespace + ".svc.cluster.local"}, "~")
		}
	}
	return out
}

// proxyID is istiod's name for a proxy.
func proxyID(w clusters.Workload) string { return pod(w) + "." + w.Namespace }

// Canaries returns names and addresses that no other range contains. For a
// workload, they are its names in istiod and the API. For its configuration, it is
// the name that istiod gives the rules of its AuthorizationPolicy, which no other
// proxy receives. For the control plane, it is an argument of its command line.
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

// wireCluster is a parameter name of package wire. This package does not import
// wire, because wire is attack code.
const wireCluster = "cluster"

// Endpoint returns istiod's endpoint, which the pilot-agents use as well.
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
