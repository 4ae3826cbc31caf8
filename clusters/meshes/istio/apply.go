package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// written is an object as the API has it.
type written struct {
	object kubeapi.Object
	body   string
}

// Apply asks for a policy. It returns when the API has it; where leaves are to
// live for another time, when they do.
func (st *stage) Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	if !st.calm {
		// What was asked for before may still be on its way: a mark of that
		// time must not be taken for one of this.
		st.salt = strconv.Itoa(st.revision)
	}
	// A policy that cannot be rendered changes nothing at all.
	objects, err := render(st.r, p, st.salt)
	if err != nil {
		return clusters.Revision{}, err
	}
	if p.Changes.Withhold {
		// The control plane that is away: the API has the policy, and nobody
		// hears of it.
		if err := st.hang(ctx, true); err != nil {
			return clusters.Revision{}, err
		}
	}
	if err := st.write(ctx, objects); err != nil {
		return clusters.Revision{}, err
	}
	before := st.policy
	st.policy, st.latest, st.calm = p, rev.ID, false
	st.known[rev.ID] = applied
	if p.Changes.Withhold {
		st.known[rev.ID] = withheld
		return rev, nil
	}
	st.store.Conceal(p.Logging.NoAddress)
	if err := st.hang(ctx, false); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.grant(ctx, before.Issuance); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.admit(ctx); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.reopen(ctx, before); err != nil {
		return clusters.Revision{}, err
	}
	for _, s := range st.sidecars {
		s.expect(expectedOf(st.r, p, s.workload, objects))
	}
	if before.Identity != p.Identity && st.running {
		return rev, st.renew(ctx)
	}
	return rev, nil
}

// write makes the API have exactly these objects of the policy. st.mu is held.
func (st *stage) write(ctx context.Context, objects []rendered) error {
	gone := maps.Clone(st.objects)
	for _, o := range objects {
		key := o.object.Text()
		delete(gone, key)
		body, err := json.Marshal(o.object)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		if st.objects[key].body == string(body) {
			continue
		}
		if err := st.api.Apply(ctx, o.object); err != nil {
			return err
		}
		st.objects[key] = written{o.object, string(body)}
	}
	for _, key := range slices.Sorted(maps.Keys(gone)) {
		if err := st.api.Delete(ctx, gone[key].object); err != nil {
			return err
		}
		delete(st.objects, key)
	}
	return nil
}

// minter is whom the mistake gives the right to create tokens of others.
const minter = "thief"

// grant gives and takes the right to create tokens. It returns when the API
// decides as the policy says. st.mu is held.
func (st *stage) grant(ctx context.Context, before policy.Issuance) error {
	want := st.policy.Issuance.MintTokens
	if before.MintTokens == want {
		return nil
	}
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	return st.api.GrantTokens(ctx, w.Namespace, w.Account, want)
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

// nodeLogKey is what such a line is found by.
func nodeLogKey(proxy string) string { return "node " + proxy }

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
		mark := nodeLogKey(proxyID(s.workload))
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

// fetches are the parts of a Fetching that istiod reads when it starts.
func fetches(f policy.Fetching) policy.Fetching {
	f.Tenant = false
	return f
}

// tenant gives and takes the right to say, in the own namespace, where the keys
// of an issuer are. It returns when the API decides so. st.mu is held.
func (st *stage) tenant(ctx context.Context, want bool) error {
	if st.gate.tenant == want {
		return nil
	}
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	const group, kinds = "security.istio.io", "requestauthentications"
	role := roled(w, "tenant", map[string]any{"apiGroups": []string{group}, "resources": []string{kinds}, "verbs": []string{"create", "get", "delete"}})
	if err := st.give(ctx, want, role...); err != nil {
		return err
	}
	may := st.permitted(ctx, w, want, map[string]any{"namespace": w.Namespace, "verb": "create", "group": group, "resource": kinds})
	if err := st.until(ctx, fmt.Sprintf("%s may name issuers: %v", w.Name, want), may); err != nil {
		return err
	}
	st.gate.tenant = want
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
		if !clusters.Pause(ctx, st.runtime.pace(0)) {
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

// started are the parts of an Issuance that istiod reads when it starts.
func started(p policy.Issuance) policy.Issuance {
	p.Unbound, p.Extended, p.KeepAccounts, p.AnyService, p.MintTokens = false, false, false, false, false
	return p
}
