package istio

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

var _ meshes.Planted = (*installed)(nil)

// env is what an istiod of the plan is told in its environment, wherever it
// runs: whom it gives leaves to, and what it shows. It is read when it starts.
func (p plan) env(r clusters.Range, issuer string) map[string]string {
	env := pilotEnv(r, p.issuance, issuer)
	env["ENABLE_DEBUG_ENDPOINT_AUTH"] = strconv.FormatBool(!p.exposure.AnyDebug)
	env["PILOT_ENABLE_XDS_IDENTITY_CHECK"] = strconv.FormatBool(!p.exposure.AnyNode)
	env["BLOCKED_CIDRS_IN_JWKS_URIS"] = strings.Join(p.blocked, ",")
	env["ENABLE_XDS_API_GENERATOR_AUTH"] = strconv.FormatBool(!p.exposure.AnyConfig)
	return env
}

// plaintext is the argument that says where istiod gives configuration without
// TLS: nowhere, unless the plan is to. Its own default is port 15010.
func (p plan) plaintext(address string) string {
	if !p.exposure.PlaintextXDS {
		address = ""
	}
	return "--grpcAddr=" + address
}

// startedWith are the parts of an Exposure that istiod reads when it starts.
func startedWith(e policy.Exposure) policy.Exposure {
	e.ViewServices, e.ProxyAdmin = false, false
	return e
}

// reopen makes istiod decide and show as a policy says, by starting it anew
// where it has to. st.mu is held, and st.policy is the policy.
func (st *stage) reopen(ctx context.Context, before policy.Policy) error {
	now, issued, exposed := st.policy, before.Issuance, before.Exposure
	if err := st.tenant(ctx, now.Fetching.Tenant); err != nil {
		return err
	}
	if exposed.ViewServices != now.Exposure.ViewServices {
		if err := st.view(ctx, now.Exposure.ViewServices); err != nil {
			return err
		}
	}
	if st.running && (started(issued) != started(now.Issuance) || startedWith(exposed) != startedWith(now.Exposure) || fetches(before.Fetching) != fetches(now.Fetching)) {
		st.awaited = time.Now()
		if err := st.restartPilot(ctx); err != nil {
			return err
		}
	}
	return st.reconnected(ctx)
}

// saidNew is in what istiod writes when a proxy has come to it; the proxy's id
// and a number follow. Proxies take changes alone, and so it says "delta".
const saidNew = "connection for node:"

// nodeMark is what such a line is found by.
func nodeMark(proxy string) string { return "node " + proxy }

// reconnected returns when all proxies have come to the istiod that was started
// last: what it is asked about a proxy that has not is "not found". An Envoy
// whose calls failed waits for longer each time, so this takes seconds, and who
// ran out of them waits on with the next policy. st.mu is held.
func (st *stage) reconnected(ctx context.Context) error {
	if st.awaited.IsZero() {
		return nil
	}
	missing := map[string]bool{}
	q := signals.Query{Since: st.awaited, Want: func(found []signals.Signal) bool {
		for _, s := range found {
			delete(missing, s.Nonce)
		}
		return len(missing) == 0
	}}
	for _, s := range st.sidecars {
		mark := nodeMark(proxyID(s.workload))
		missing[mark] = true
		q.Nonces = append(q.Nonces, mark)
	}
	st.store.Query(ctx, q)
	if len(missing) > 0 {
		return fmt.Errorf("wait until all proxies have come to the new istiod: %d have not: %w", len(missing), context.Cause(ctx))
	}
	st.awaited = time.Time{}
	return nil
}

// view gives and takes the right to list services everywhere. It returns when
// the API decides so. st.mu is held.
func (st *stage) view(ctx context.Context, want bool) error {
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	if err := st.give(ctx, want, viewing(st.r, w)...); err != nil {
		return err
	}
	may := st.permitted(ctx, w, want, map[string]any{"namespace": w.Namespace, "verb": "list", "resource": "services"})
	return st.until(ctx, fmt.Sprintf("%s may list services: %v", w.Name, want), may)
}

// viewing is the part of the role view that is about services, and its binding
// to a workload's account in all namespaces.
func viewing(r clusters.Range, w clusters.Workload) []kubeapi.Object {
	const group = "rbac.authorization.k8s.io"
	meta := map[string]any{"name": rootNamespace(r) + "-view"}
	return []kubeapi.Object{{
		"apiVersion": group + "/v1", "kind": "ClusterRole", "metadata": meta,
		"rules": []any{
			map[string]any{"apiGroups": []string{""}, "resources": []string{"services", "endpoints", "pods"}, "verbs": []string{"get", "list"}},
			map[string]any{"apiGroups": []string{"discovery.k8s.io"}, "resources": []string{"endpointslices"}, "verbs": []string{"get", "list"}},
		},
	}, {
		"apiVersion": group + "/v1", "kind": "ClusterRoleBinding", "metadata": meta,
		"roleRef":  map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": meta["name"]},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": w.Account, "namespace": w.Namespace}},
	}}
}

// doored is a pilot with endpoints at other addresses than its endpoint's, such as
// ports that a service does not declare.
type doored interface {
	// endpoints are as in clusters.Endpoint.
	endpoints() map[string]string
}

// endpoints are the addresses of an istiod, by what is behind them.
func endpoints(p pilot) map[string]string {
	if d, ok := p.(doored); ok {
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

// What istiod writes about who asks for what it shows.
const (
	saidUnproven = "Failed to authenticate /debug/"
	saidDebug    = "Unauthorized debug request from ["
	saidXDS      = "Unauthorized XDS: "
)

// parseDoors reads a line of istiod's log; false for one that is not about
// somebody who was refused at an endpoint of its own. A line about a debugging path
// has no address: it is found by the nonce in the query or, where it has no
// query either, by the identity and the path.
func parseDoors(line []byte, seen time.Time) (signals.Record, bool, error) {
	parts := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
	if len(parts) < 3 {
		return signals.Record{}, false, nil
	}
	text := parts[len(parts)-1]
	s := signals.Signal{
		Seen: seen, Workload: signals.FromAuthority, Inbound: true, Refused: true,
		Raw: text[:min(len(text), rawLimit)],
	}
	var source netip.AddrPort
	var err error
	switch {
	case strings.HasPrefix(text, saidUnproven):
		url, why, _ := strings.Cut(strings.TrimPrefix(text, "Failed to authenticate "), " ")
		path, query, _ := strings.Cut(url, "?")
		s.Layer, s.Path, s.Status, s.Reason = "http", path, 401, unprovenDebug(why)
		_, s.Nonce, _ = strings.Cut(query, "nonce=")
	case strings.HasPrefix(text, saidDebug):
		ids, path, _ := strings.Cut(strings.TrimPrefix(text, saidDebug), "] to ")
		s.Layer, s.Path, s.Status, s.Reason = "http", path, 403, "Unauthorized debug request"
		s.Identity = strings.Fields(ids)
		s.Nonce = ids + " " + path
	case strings.HasPrefix(text, saidXDS):
		client, why, _ := strings.Cut(strings.TrimPrefix(text, saidXDS), " with identity ")
		ids, why, _ := strings.Cut(why, ": ")
		why, _, _ = strings.Cut(why, " matched ")
		s.Layer, s.Reason = "grpc", saidXDS+constant(why)+" matched"
		s.Identity = strings.Fields(strings.Trim(ids, "[]"))
		if source, err = netip.ParseAddrPort(client); err != nil {
			return signals.Record{}, false, err
		}
	case strings.HasPrefix(text, "ADS: new ") && strings.Contains(text, saidNew):
		_, proxy, _ := strings.Cut(text, saidNew)
		s.Refused, s.Layer, s.Nonce = false, "grpc", nodeMark(proxy[:max(0, strings.LastIndex(proxy, "-"))])
	default:
		return signals.Record{}, false, nil
	}
	s.At, err = time.Parse(time.RFC3339Nano, parts[0])
	return signals.Record{Signal: s, Source: source}, err == nil, err
}

// unprovenDebug is what the last authenticator said, who reads tokens.
func unprovenDebug(why string) string {
	i := strings.LastIndex(why, "Authenticator ")
	if i < 0 {
		return constant(why)
	}
	_, why, _ = strings.Cut(why[i:], ": ")
	return constant(strings.TrimSuffix(why, "]"))
}
