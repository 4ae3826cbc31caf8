package istio

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

var (
	_ meshes.Issuing       = (*installed)(nil)
	_ meshes.AccountTokens = (*installed)(nil)
	_ meshes.Lifecycle     = (*installed)(nil)
)

// member returns a workload's stage and its sidecar, which knows the pod.
func (in *installed) member(r clusters.Range, w clusters.Workload) (*stage, *sidecar, error) {
	st, err := in.Stage(r)
	if err != nil {
		return nil, nil, err
	}
	s, ok := meshes.SidecarOf(w, st.sidecars)
	if !ok {
		return nil, nil, fmt.Errorf("%s has no account on the platform", w.Name)
	}
	return st, s, nil
}

// AccountToken returns a token of a workload's service account.
func (in *installed) AccountToken(ctx context.Context, r clusters.Range, q identity.AccountTokenRequest) (token, source string, err error) {
	st, s, err := in.member(r, q.Of)
	if err != nil {
		return "", "", err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	how := st.policy.Issuance
	q = q.Under(how)
	at := q.Audience
	switch at {
	case "":
		at = audience
	case identity.AudienceAPI:
		at = st.platform.issuer()
	}
	source = "minted"
	switch {
	case q.Form == identity.FormLegacy:
		token, err = st.platform.legacyToken(ctx, s.workload)
	case !q.Expires.IsZero():
		source = "signed"
		issued, expires := q.Signed(how)
		token, err = st.platform.signBound(ctx, s.workload, at, issued, expires)
	default:
		var to kubeapi.Pod
		if to, err = st.platform.bound(ctx, s.workload); err == nil {
			token, err = in.api.AccountToken(ctx, to, q.Form == identity.FormBound, at, tokenLife)
		}
	}
	if err == nil {
		s.given = append(s.given, kubeapi.Handed{Token: token, Audience: at, Form: q.Form})
	}
	return token, source, err
}

// Delete removes a workload's pod or account. It returns once the API rejects
// every token that ends with it.
func (in *installed) Delete(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error) {
	st, s, err := in.member(r, w)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.mu.Lock()
	rev, keep, handed := st.next(), st.policy.Issuance.KeepAccounts, s.given
	st.known[rev.ID] = lived
	st.mu.Unlock()
	if keep {
		return rev, nil
	}
	if err := st.platform.end(ctx, s.workload, what); err != nil {
		return clusters.Revision{}, fmt.Errorf("delete the %s of %s: %w", what, w.Name, err)
	}
	if err := st.api.Ended(ctx, what, handed); err != nil {
		return clusters.Revision{}, fmt.Errorf("delete the %s of %s: %w", what, w.Name, err)
	}
	return rev, nil
}

// Recreate creates a pod or an account with the same name.
func (in *installed) Recreate(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error) {
	st, s, err := in.member(r, w)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.mu.Lock()
	rev := st.next()
	st.known[rev.ID] = lived
	s.given = nil
	st.mu.Unlock()
	if err := st.platform.begin(ctx, s.workload, what); err != nil {
		return clusters.Revision{}, fmt.Errorf("make the %s of %s anew: %w", what, w.Name, err)
	}
	return rev, nil
}

// errNoPart is returned for a part that no workload has.
var errNoPart = errors.New("there is no such part")
