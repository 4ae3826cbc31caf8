package istio

import (
	"context"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// injecting is what lets a workload's account change what puts proxies into pods.
func injecting(r clusters.Range, w clusters.Workload, run string) []kubeapi.Object {
	const group = "rbac.authorization.k8s.io"
	meta := map[string]any{"name": rootNamespace(r) + "-injector", "labels": map[string]string{labelRun: run}}
	return []kubeapi.Object{{
		"apiVersion": group + "/v1", "kind": "ClusterRole", "metadata": meta,
		"rules": []any{
			map[string]any{
				"apiGroups": []string{"admissionregistration.k8s.io"}, "resources": []string{"mutatingwebhookconfigurations"},
				"resourceNames": []string{injectorName(w)}, "verbs": []string{"get", "patch"},
			},
			map[string]any{"apiGroups": []string{""}, "resources": []string{"namespaces"}, "resourceNames": []string{w.Namespace}, "verbs": []string{"get", "patch"}},
		},
	}, {
		"apiVersion": group + "/v1", "kind": "ClusterRoleBinding", "metadata": meta,
		"roleRef":  map[string]any{"apiGroup": group, "kind": "ClusterRole", "name": meta["name"]},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": w.Account, "namespace": w.Namespace}},
	}}
}

func injectorName(w clusters.Workload) string { return w.Namespace + "-injector" }

// The pods that ask the injector below for a proxy, and what the API says where
// it cannot be asked.
const (
	labelProxy   = "meshbreach.test/proxy"
	proxyWanted  = "wanted"
	nameInjector = "injector.meshbreach.test"
	awayInjector = "failed calling webhook \"" + nameInjector + "\""
)

func failurePolicy(open bool) string {
	if open {
		return "Ignore"
	}
	return "Fail"
}

// renewInjector makes the stand-in's configuration anew: an account that may
// has set what no applying takes back.
func (st *stage) renewInjector(ctx context.Context, w clusters.Workload, want policy.Admission) error {
	// First the range's own: the API sees changes of one kind in their order, so
	// that what it decides of the stand-in says that it knows both.
	if err := st.platform.injectors(ctx, want.FailOpen); err != nil {
		return err
	}
	o := injector(w, st.gate.run, st.name, want.FailOpen)
	if err := st.api.Delete(ctx, o); err != nil || !want.Pipeline {
		return err
	}
	return st.api.Apply(ctx, o)
}

// injector is a webhook's configuration that stands for the mesh's own, which
// others on this cluster may need. It looks at pods of the range that ask for it
// by label, and its service is not there: the injector is away for good.
func injector(w clusters.Workload, run, in string, failOpen bool) kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": injectorName(w), "labels": map[string]string{labelRun: run}},
		"webhooks": []any{map[string]any{
			"name": nameInjector, "failurePolicy": failurePolicy(failOpen), "sideEffects": "None", "admissionReviewVersions": []string{"v1"},
			"clientConfig":      map[string]any{"service": map[string]any{"namespace": w.Namespace, "name": "injector", "path": "/inject"}},
			"namespaceSelector": map[string]any{"matchLabels": map[string]string{labelRange: in}},
			"objectSelector":    map[string]any{"matchLabels": map[string]string{labelProxy: proxyWanted}},
			"rules": []any{map[string]any{
				"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"},
			}},
		}},
	}
}
