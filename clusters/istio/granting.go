package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/evidence"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

// minter is whom the mistake gives the right to create tokens of others.
const minter = "thief"

// grant gives and takes the right to create tokens. It returns when the API
// decides as the policy says. st.mu is held.
func (st *stage) grant(ctx context.Context, before clusters.Issuance) error {
	want := st.policy.Issuance.MintTokens
	if before.MintTokens == want {
		return nil
	}
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	const name = "create-tokens"
	meta := map[string]any{"namespace": w.Namespace, "name": name}
	role := kubeapi.Object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta,
		"rules": []any{map[string]any{"apiGroups": []string{""}, "resources": []string{"serviceaccounts/token"}, "verbs": []string{"create"}}},
	}
	binding := kubeapi.Object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": w.Account, "namespace": w.Namespace}},
	}
	do := st.api.Apply
	if !want {
		do = st.api.Delete
	}
	for _, o := range []kubeapi.Object{role, binding} {
		if err := do(ctx, o); err != nil {
			return err
		}
	}
	for {
		allowed, err := st.api.Allowed(ctx, w.Namespace, w.Account, "create", "serviceaccounts", "token")
		if err == nil && allowed == want {
			return nil
		}
		if !pause(ctx, st.place.pace()) {
			return fmt.Errorf("wait until %s may create tokens: %v: %w", w.Name, want, context.Cause(ctx))
		}
	}
}

// parseAudit reads an event of the API's audit log; false for one that is not
// about a token that somebody asked for. The user agent is the nonce of an
// attempt: the events of others find nobody.
func parseAudit(line []byte, seen time.Time) (evidence.Record, bool, error) {
	var e struct {
		Stage, Verb, UserAgent string
		ObjectRef              struct{ Resource, Subresource, Namespace, Name string }
		User                   struct{ Username string }
		ResponseStatus         struct{ Code int }
		StageTimestamp         time.Time
		Annotations            map[string]string
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return evidence.Record{}, false, err
	}
	if e.Verb != "create" || e.ObjectRef.Subresource != "token" || e.Stage != "ResponseComplete" || e.User.Username == kubeapi.Administrator {
		return evidence.Record{}, false, nil
	}
	s := clusters.Signal{
		At: e.StageTimestamp, Seen: seen, Workload: clusters.PlatformName, Inbound: true, Layer: "http",
		Nonce: e.UserAgent, Method: "POST", Path: e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource,
		Identity: []string{e.User.Username}, Status: e.ResponseStatus.Code, Refused: e.ResponseStatus.Code >= 300,
		Raw: fmt.Sprintf("%s %s %s/%s by %s: %d", e.Verb, e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, e.ObjectRef.Namespace, e.ObjectRef.Name, e.User.Username, e.ResponseStatus.Code),
	}
	if s.Refused {
		s.Reason = "authorization.k8s.io/decision: " + e.Annotations["authorization.k8s.io/decision"]
	}
	s.Raw = s.Raw[:min(len(s.Raw), rawLimit)]
	return evidence.Record{Signal: s}, true, nil
}
