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

// give makes objects be there, or takes them away.
func (st *stage) give(ctx context.Context, yes bool, objects ...kubeapi.Object) error {
	do := st.api.Apply
	if !yes {
		do = st.api.Delete
	}
	for _, o := range objects {
		if err := do(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// until waits until the API decides as it should: until a fact has no error. What
// is being waited for is for the error when time runs out.
func (st *stage) until(ctx context.Context, what string, fact func() error) error {
	for {
		err := fact()
		if err == nil {
			return nil
		}
		if !clusters.Pause(ctx, st.place.pace(0)) {
			return errors.Join(fmt.Errorf("wait until %s: %w", what, context.Cause(ctx)), err)
		}
	}
}

// permitted is the fact that a workload's account may do something, or may not.
func (st *stage) permitted(ctx context.Context, w clusters.Workload, want bool, attributes map[string]any) func() error {
	return func() error {
		is, err := st.api.Permitted(ctx, w.Namespace, w.Account, attributes)
		if err == nil && is != want {
			err = fmt.Errorf("whether it may %v: %v", attributes, is)
		}
		return err
	}
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

// roled is a role in a workload's namespace that its account has.
func roled(w clusters.Workload, name string, rules ...any) []kubeapi.Object {
	const group = "rbac.authorization.k8s.io"
	meta := map[string]any{"namespace": w.Namespace, "name": name}
	return []kubeapi.Object{
		{"apiVersion": group + "/v1", "kind": "Role", "metadata": meta, "rules": rules},
		{
			"apiVersion": group + "/v1", "kind": "RoleBinding", "metadata": meta,
			"roleRef":  map[string]any{"apiGroup": group, "kind": "Role", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": w.Account, "namespace": w.Namespace}},
		},
	}
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
