package consul

import (
	"context"
	"fmt"
	"net/netip"

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

// wireAuthMethod is a word of package wire, which this package does not link: it
// attacks.
const wireAuthMethod = "auth-method"

// Endpoint is the server's HTTP API: who logs in there by the auth method may
// ask it for a leaf.
func (in *installed) Endpoint(r clusters.Range) identity.Endpoint {
	st, err := in.Stage(r)
	if err != nil {
		return identity.Endpoint{}
	}
	method := methodName
	if st.byKey.Load() {
		method = methodByKey
	}
	address := func(port uint16) string { return netip.AddrPortFrom(st.server.at, port).String() }
	return identity.Endpoint{Protocol: protocol, Address: address(portHTTP), Parameters: map[string]string{wireAuthMethod: method}, Platform: address(kubeapi.Port), Endpoints: endpoints(st)}
}

// member is a workload's sidecar, whose workload has an account.
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

// AccountToken gives a token of a workload's service account. It is a secret.
func (in *installed) AccountToken(ctx context.Context, r clusters.Range, q identity.AccountTokenRequest) (token, source string, err error) {
	st, s, err := in.member(r, q.Of)
	if err != nil {
		return "", "", err
	}
	st.mu.Lock()
	how := st.issued
	st.mu.Unlock()
	q = q.Under(how)
	at := q.Audience
	if at == "" || at == identity.AudienceAPI {
		at = kubeapi.Issuer // the auth method has none of its own
	}
	api, pod := st.platform.api, st.platform.pod(s.workload, st.server.at)
	source = "minted"
	switch {
	case q.Form == identity.FormLegacy:
		token, err = api.LegacyToken(ctx, pod)
	case !q.Expires.IsZero():
		source = "signed"
		issued, expires := q.Signed(how)
		token, err = api.SignBound(ctx, pod, at, issued, expires)
	default:
		token, err = api.AccountToken(ctx, pod, q.Form == identity.FormBound, at, tokenLife)
	}
	if err == nil {
		st.mu.Lock()
		s.given = append(s.given, kubeapi.Handed{Token: token, Audience: at, Form: q.Form})
		st.mu.Unlock()
	}
	return token, source, err
}

// Delete takes a workload's pod or account away, and returns when the API
// believes no token any more that ends with it. What Consul gave whoever
// logged in stays: it asks once.
func (in *installed) Delete(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error) {
	st, s, err := in.member(r, w)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.mu.Lock()
	rev, keep, handed := st.next(), st.issued.KeepAccounts, s.given
	st.kinds[rev.ID] = lived
	st.mu.Unlock()
	if keep {
		return rev, nil
	}
	api := st.platform.api
	switch what {
	case identity.LifePod:
		err = api.Delete(ctx, st.platform.pod(s.workload, st.server.at).Ref())
	case identity.LifeAccount:
		err = api.Delete(ctx, kubeapi.AccountRef(s.workload.Namespace, s.workload.Account))
	default:
		err = fmt.Errorf("delete the %s of %s: there is no such part", what, w.Name)
	}
	if err != nil {
		return clusters.Revision{}, err
	}
	if err := api.Ended(ctx, what, handed); err != nil {
		return clusters.Revision{}, fmt.Errorf("delete the %s of %s: %w", what, w.Name, err)
	}
	return rev, nil
}

// Recreate makes a pod or an account of the same name.
func (in *installed) Recreate(ctx context.Context, r clusters.Range, w clusters.Workload, what identity.Life) (clusters.Revision, error) {
	st, s, err := in.member(r, w)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.mu.Lock()
	rev := st.next()
	st.kinds[rev.ID] = lived
	s.given = nil
	st.mu.Unlock()
	if what == identity.LifeAccount {
		return rev, st.platform.api.Apply(ctx, st.platform.account(s.workload))
	}
	return rev, st.platform.api.Run(ctx, st.platform.pod(s.workload, st.server.at))
}
