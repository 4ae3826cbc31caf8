package kubeapi

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// A Pod is a workload as Kubernetes knows it.
type Pod struct {
	Namespace, Name, Account string
	Labels                   map[string]string
	Address                  netip.Addr
	Host                     netip.Addr // of the node that would run it
}

// Ref is the pod's object without anything but its name.
func (p Pod) Ref() Object {
	return Object{"apiVersion": "v1", "kind": "Pod", "metadata": meta(p.Namespace, p.Name, nil)}
}

func meta(namespace, name string, labels map[string]string) map[string]any {
	m := map[string]any{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	if len(labels) > 0 {
		m["labels"] = labels
	}
	return m
}

// Namespace is a namespace with labels.
func Namespace(name string, labels map[string]string) Object {
	return Object{"apiVersion": "v1", "kind": "Namespace", "metadata": meta("", name, labels)}
}

// Account is a service account.
func Account(namespace, name string, labels map[string]string) Object {
	return Object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(namespace, name, labels)}
}

// Run makes a pod and says that it runs and is ready, as a kubelet would.
func (c *Client) Run(ctx context.Context, p Pod) error {
	o := p.Ref()
	o["metadata"] = meta(p.Namespace, p.Name, p.Labels)
	o["spec"] = map[string]any{
		"serviceAccountName": p.Account, "automountServiceAccountToken": false, "nodeName": "local",
		"containers": []any{map[string]any{"name": "app", "image": "none"}},
	}
	if err := c.Apply(ctx, o); err != nil {
		return err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	return c.Status(ctx, o, map[string]any{
		"phase": "Running", "podIP": p.Address.String(), "podIPs": []any{map[string]any{"ip": p.Address.String()}},
		"hostIP": p.Host.String(), "startTime": now,
		"conditions": []any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": now}},
	})
}

// A ServicePort is one of a service's.
type ServicePort struct {
	Name     string
	Protocol string // application protocol: http or tcp
	Number   int
}

// Service is a service of one pod, with the endpoints that a controller would
// have found.
func Service(p Pod, ip netip.Addr, ports []ServicePort) []Object {
	var outer, inner []any
	for _, port := range ports {
		outer = append(outer, map[string]any{"name": port.Name, "port": port.Number, "targetPort": port.Number, "appProtocol": port.Protocol, "protocol": "TCP"})
		inner = append(inner, map[string]any{"name": port.Name, "port": port.Number, "protocol": "TCP", "appProtocol": port.Protocol})
	}
	return []Object{{
		"apiVersion": "v1", "kind": "Service", "metadata": meta(p.Namespace, p.Name, p.Labels),
		"spec": map[string]any{"clusterIP": ip.String(), "selector": map[string]string{"app": p.Labels["app"]}, "ports": outer},
	}, {
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    meta(p.Namespace, p.Name+"-1", map[string]string{"kubernetes.io/service-name": p.Name}),
		"addressType": "IPv4", "ports": inner,
		"endpoints": []any{map[string]any{
			"addresses": []string{p.Address.String()}, "conditions": map[string]any{"ready": true}, "nodeName": "local",
			"targetRef": map[string]any{"kind": "Pod", "name": p.Name, "namespace": p.Namespace},
		}},
	}}
}

// MinTokenLife is the shortest life of a token that the API issues.
const MinTokenLife = 10 * time.Minute

// Token asks for a token of the pod's account, for an audience, bound to the
// pod: it ends with it.
func (c *Client) Token(ctx context.Context, p Pod, audience string, life time.Duration) (string, error) {
	var answer struct{ Status struct{ Token string } }
	err := c.Create(ctx, "/api/v1/namespaces/"+p.Namespace+"/serviceaccounts/"+p.Account+"/token", Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{
			"audiences": []string{audience}, "expirationSeconds": int(life.Seconds()),
			"boundObjectRef": map[string]any{"kind": "Pod", "apiVersion": "v1", "name": p.Name},
		},
	}, &answer)
	if err != nil {
		return "", fmt.Errorf("token of %s/%s: %w", p.Namespace, p.Name, err)
	}
	return answer.Status.Token, nil
}

// A Review is what the API makes of a token.
type Review struct {
	Authenticated bool
	User          string
	Audiences     []string
	Error         string
}

// Review asks the API about a token.
func (c *Client) Review(ctx context.Context, token, audience string) (Review, error) {
	var answer struct {
		Status struct {
			Authenticated bool
			User          struct{ Username string }
			Audiences     []string
			Error         string
		}
	}
	err := c.Create(ctx, "/apis/authentication.k8s.io/v1/tokenreviews", Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	}, &answer)
	s := answer.Status
	return Review{s.Authenticated, s.User.Username, s.Audiences, s.Error}, err
}
