package istio

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/admission"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// admit makes the API admit what the policy says. It returns when the API
// decides so. st.mu is held.
func (st *stage) admit(ctx context.Context) error {
	return st.applied.change(aspectAdmission, st.policy.Admission, func() error { return st.changeAdmission(ctx, st.policy.Admission) })
}

func (st *stage) changeAdmission(ctx context.Context, to policy.Admission) error {
	w, err := st.r.Tenant()
	if err != nil {
		return err
	}
	objects, err := admission.Objects(admission.Binding{
		Suffix: st.name, Namespaces: map[string]string{labelRange: st.name}, Labels: map[string]string{labelRun: st.run},
		AuditOnly: to.AuditOnly,
	})
	if err != nil {
		return err
	}
	if err := st.api.Keep(ctx, to.Pipeline, append(objects, pipeline(w)...)...); err != nil {
		return err
	}
	if to.Pipeline {
		// Without controllers nothing creates the account "default", and a pod of
		// an account that is missing is refused for that reason.
		if err := st.api.Apply(ctx, kubeapi.Account(w.Namespace, "default", nil)); err != nil {
			return err
		}
	}
	if err := st.renewInjector(ctx, w, to); err != nil {
		return err
	}
	if err := st.api.Keep(ctx, to.Debug, debugging(w)...); err != nil {
		return err
	}
	if err := st.api.Keep(ctx, to.Injector, injecting(st.r, w, st.run)...); err != nil {
		return err
	}
	return st.admits(ctx, w, to)
}

// pipeline lets a workload's account create pods of its own account.
func pipeline(w clusters.Workload) []kubeapi.Object {
	return kubeapi.Role(w.Namespace, w.Account, "pipeline",
		kubeapi.Rule("", []string{"pods"}, "create", "get", "delete"),
		kubeapi.Named(kubeapi.Rule("", []string{"serviceaccounts"}, "use"), w.Account))
}

// debugging lets a workload's account run commands in pods.
func debugging(w clusters.Workload) []kubeapi.Object {
	return kubeapi.Role(w.Namespace, w.Account, "debugging",
		kubeapi.Rule("", []string{"pods/exec"}, "create", "get"),
		kubeapi.Rule("", []string{"pods/ephemeralcontainers"}, "patch", "update"))
}

// injecting lets a workload's account change what injects proxies into pods.
func injecting(r clusters.Range, w clusters.Workload, run string) []kubeapi.Object {
	return kubeapi.ClusterRole(w.Namespace, w.Account, rootNamespace(r)+"-injector", map[string]string{labelRun: run},
		kubeapi.Named(kubeapi.Rule("admissionregistration.k8s.io", []string{"mutatingwebhookconfigurations"}, "get", "patch"), injectorName(w)),
		kubeapi.Named(kubeapi.Rule("", []string{"namespaces"}, "get", "patch"), w.Namespace))
}

// admits returns when the API decides as expected: about rights, and about one
// pod that violates each policy.
func (st *stage) admits(ctx context.Context, w clusters.Workload, to policy.Admission) error {
	for _, right := range []struct {
		allowed    bool
		attributes map[string]any
	}{
		{to.Pipeline, map[string]any{"namespace": w.Namespace, "verb": "create", "resource": "pods"}},
		{to.Debug, map[string]any{"namespace": w.Namespace, "verb": "patch", "resource": "pods", "subresource": "ephemeralcontainers"}},
		{to.Injector, map[string]any{"namespace": w.Namespace, "verb": "patch", "resource": "namespaces", "name": w.Namespace}},
	} {
		if err := st.api.Decides(ctx, w.Namespace, w.Account, right.allowed, right.attributes); err != nil {
			return err
		}
	}
	if !to.Pipeline {
		return nil
	}
	out := trial(w, w.Account, map[string]string{"sidecar.istio.io/inject": "false"})
	injected := trial(w, w.Account, nil)
	injected["metadata"].(map[string]any)["labels"] = map[string]string{labelProxy: proxyWanted}
	for _, try := range []struct {
		pod      kubeapi.Object
		by       string
		admitted bool
	}{
		{injected, unavailableInjector, to.FailOpen},
		{out, admission.NoOptOut, to.AuditOnly},
		{trial(w, "default", nil), admission.OwnAccount, to.AuditOnly},
	} {
		err := kubeapi.Until(ctx, fmt.Sprintf("the API admits a pod of %s in spite of %q: %t", w.Name, try.by, try.admitted), func(ctx context.Context) error {
			return st.tried(ctx, w, try.pod, try.by, try.admitted)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tried says why the API refuses a pod of the account that it should admit, or
// does not refuse, with "by" in its answer, a pod that it should not admit.
func (st *stage) tried(ctx context.Context, w clusters.Workload, pod kubeapi.Object, by string, admitted bool) error {
	err := st.api.TryPod(ctx, w.Account, pod)
	var no *kubeapi.StatusError
	refused := errors.As(err, &no) && strings.Contains(no.Message, by)
	switch {
	case refused && !admitted:
		return nil
	case err == nil && !admitted:
		return errors.New(by + " refuses nothing")
	}
	return err
}

// trial is a pod for a dry run.
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

func injectorName(w clusters.Workload) string { return w.Namespace + "-injector" }

// The label of pods that request a proxy from the injector below, and the API's
// words where it cannot reach that injector.
const (
	labelProxy          = "meshbreach.test/proxy"
	proxyWanted         = "wanted"
	nameInjector        = "injector.meshbreach.test"
	unavailableInjector = "failed calling webhook \"" + nameInjector + "\""
)

func failurePolicy(open bool) string {
	if open {
		return "Ignore"
	}
	return "Fail"
}

// renewInjector creates the stand-in's configuration again. Applying is not
// enough: it does not take back what an account with the right has added.
func (st *stage) renewInjector(ctx context.Context, w clusters.Workload, to policy.Admission) error {
	// The range's own injector comes first. The API sees changes of one kind in
	// order, so its decision about the stand-in shows that it knows both.
	if err := st.platform.injectors(ctx, to.FailOpen); err != nil {
		return err
	}
	o := injector(w, st.run, st.name, to.FailOpen)
	if err := st.api.Delete(ctx, o); err != nil || !to.Pipeline {
		return err
	}
	return st.api.Apply(ctx, o)
}

// injector is a webhook configuration that stands in for the mesh's own, which
// others on this cluster may need. It selects pods of the range by label, and
// its service does not exist: this injector is never available.
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
