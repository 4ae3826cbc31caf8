package istio

import (
	"context"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// grant gives and takes the rights that a policy is about. It returns when the
// API decides so. st.mu is held.
func (st *stage) grant(ctx context.Context) error {
	for _, right := range []struct {
		name    aspect
		allowed bool
		change  func(ctx context.Context, allowed bool) error
	}{
		{aspectMinting, st.policy.Issuance.MintTokens, st.mint},
		{aspectTenant, st.policy.Fetching.Tenant, st.nameIssuers},
		{aspectViewing, st.policy.Exposure.ViewServices, st.view},
	} {
		if err := st.applied.change(right.name, right.allowed, func() error { return right.change(ctx, right.allowed) }); err != nil {
			return err
		}
	}
	return nil
}

// mint is about creating tokens of other accounts.
func (st *stage) mint(ctx context.Context, allowed bool) error {
	w, err := st.r.Tenant()
	if err != nil {
		return err
	}
	return st.api.GrantTokens(ctx, w.Namespace, w.Account, allowed)
}

// nameIssuers is about saying, in the account's own namespace, where an issuer
// publishes its keys.
func (st *stage) nameIssuers(ctx context.Context, allowed bool) error {
	w, err := st.r.Tenant()
	if err != nil {
		return err
	}
	const group, kinds = "security.istio.io", "requestauthentications"
	role := kubeapi.Role(w.Namespace, w.Account, "tenant", kubeapi.Rule(group, []string{kinds}, "create", "get", "delete"))
	if err := st.api.Keep(ctx, allowed, role...); err != nil {
		return err
	}
	return st.api.Decides(ctx, w.Namespace, w.Account, allowed, map[string]any{
		"namespace": w.Namespace, "verb": "create", "group": group, "resource": kinds,
	})
}

// view is about listing services and pods in all namespaces, as with the role
// view.
func (st *stage) view(ctx context.Context, allowed bool) error {
	w, err := st.r.Tenant()
	if err != nil {
		return err
	}
	role := kubeapi.ClusterRole(w.Namespace, w.Account, rootNamespace(st.r)+"-view", nil,
		kubeapi.Rule("", []string{"services", "endpoints", "pods"}, "get", "list"),
		kubeapi.Rule("discovery.k8s.io", []string{"endpointslices"}, "get", "list"))
	if err := st.api.Keep(ctx, allowed, role...); err != nil {
		return err
	}
	return st.api.Decides(ctx, w.Namespace, w.Account, allowed, map[string]any{"namespace": w.Namespace, "verb": "list", "resource": "services"})
}
