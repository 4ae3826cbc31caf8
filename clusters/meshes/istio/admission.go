package istio

import (
	"context"
	"errors"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/admission"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// gate is what a range's API was last made to let in.
type gate struct {
	run    string
	now    policy.Admission
	tenant bool // it lets a tenant name issuers
}

// admit makes the API let in what the policy says. It returns when the API
// decides so. st.mu is held.
func (st *stage) admit(ctx context.Context) error {
	want := st.policy.Admission
	if st.gate.now == want {
		return nil
	}
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	objects, err := admission.Objects(admission.Binding{
		Suffix: st.name, Namespaces: map[string]string{labelRange: st.name}, Labels: map[string]string{labelRun: st.gate.run},
		AuditOnly: want.AuditOnly,
	})
	if err != nil {
		return err
	}
	if err := st.give(ctx, want.Pipeline, append(objects, pipeline(w)...)...); err != nil {
		return err
	}
	if want.Pipeline {
		// Whatever runs no controllers has no account of this name to be refused.
		if err := st.api.Apply(ctx, kubeapi.Account(w.Namespace, "default", nil)); err != nil {
			return err
		}
	}
	if err := st.renewInjector(ctx, w, want); err != nil {
		return err
	}
	if err := st.give(ctx, want.Debug, debugging(w)...); err != nil {
		return err
	}
	if err := st.give(ctx, want.Injector, injecting(st.r, w, st.gate.run)...); err != nil {
		return err
	}
	if err := st.admits(ctx, w, want); err != nil {
		return err
	}
	st.gate.now = want
	return nil
}

// pipeline is what lets a workload's account make pods of its own account.
func pipeline(w clusters.Workload) []kubeapi.Object {
	return roled(w, "pipeline",
		map[string]any{"apiGroups": []string{""}, "resources": []string{"pods"}, "verbs": []string{"create", "get", "delete"}},
		map[string]any{"apiGroups": []string{""}, "resources": []string{"serviceaccounts"}, "resourceNames": []string{w.Account}, "verbs": []string{"use"}},
	)
}

// debugging is what lets a workload's account into pods.
func debugging(w clusters.Workload) []kubeapi.Object {
	return roled(w, "debugging",
		map[string]any{"apiGroups": []string{""}, "resources": []string{"pods/exec"}, "verbs": []string{"create", "get"}},
		map[string]any{"apiGroups": []string{""}, "resources": []string{"pods/ephemeralcontainers"}, "verbs": []string{"patch", "update"}},
	)
}

// admits returns when the API decides as is wanted: about rights, and about one
// pod that is against each policy.
func (st *stage) admits(ctx context.Context, w clusters.Workload, want policy.Admission) error {
	facts := []func() error{
		st.permitted(ctx, w, want.Pipeline, map[string]any{"namespace": w.Namespace, "verb": "create", "resource": "pods"}),
		st.permitted(ctx, w, want.Debug, map[string]any{"namespace": w.Namespace, "verb": "patch", "resource": "pods", "subresource": "ephemeralcontainers"}),
		st.permitted(ctx, w, want.Injector, map[string]any{"namespace": w.Namespace, "verb": "patch", "resource": "namespaces", "name": w.Namespace}),
	}
	if want.Pipeline {
		out := trial(w, w.Account, map[string]string{"sidecar.istio.io/inject": "false"})
		asks := trial(w, w.Account, nil)
		asks["metadata"].(map[string]any)["labels"] = map[string]string{labelProxy: proxyWanted}
		facts = append(facts,
			func() error { return st.held(ctx, w, asks, awayInjector, want.FailOpen) },
			func() error { return st.held(ctx, w, out, admission.NoOptOut, want.AuditOnly) },
			func() error { return st.held(ctx, w, trial(w, "default", nil), admission.OwnAccount, want.AuditOnly) },
		)
	}
	for _, fact := range facts {
		if err := st.until(ctx, "the API lets "+w.Name+" in as it should", fact); err != nil {
			return err
		}
	}
	return nil
}

// held says why a pod of the account is not refused by what is named in the
// refusal, or why it is when it should be let in.
func (st *stage) held(ctx context.Context, w clusters.Workload, pod kubeapi.Object, by string, in bool) error {
	err := st.api.TryPod(ctx, w.Account, pod)
	var no *kubeapi.StatusError
	refused := errors.As(err, &no) && strings.Contains(no.Message, by)
	switch {
	case refused && !in:
		return nil
	case err == nil && !in:
		return errors.New(by + " refuses nothing")
	}
	return err
}

// trial is a pod that is not made.
func trial(w clusters.Workload, account string, annotations map[string]string) kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": w.Namespace, "name": "trial", "annotations": annotations},
		"spec": map[string]any{
			"serviceAccountName": account, "automountServiceAccountToken": false,
			"containers": []any{map[string]any{"name": "app", "image": "none"}},
		},
	}
}

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
