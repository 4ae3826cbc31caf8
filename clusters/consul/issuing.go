package consul

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

var (
	_ clusters.Issuing       = (*installed)(nil)
	_ clusters.AccountTokens = (*installed)(nil)
)

// Endpoint is the server's HTTP API: who logs in there by the auth method may
// ask it for a leaf.
func (in *installed) Endpoint(r clusters.Range) clusters.Endpoint {
	st, err := in.stage(r)
	if err != nil {
		return clusters.Endpoint{}
	}
	return clusters.Endpoint{
		Protocol: "consul", Address: netip.AddrPortFrom(st.server.at, portHTTP).String(), Method: methodName,
	}
}

// AccountToken signs what a workload logs in with, as the platform does. The
// platform of the harness binds no token to a pod and keeps none in a Secret,
// so forms other than the ordinary one are errors. The token is a secret.
func (in *installed) AccountToken(_ context.Context, r clusters.Range, q clusters.AccountTokenRequest) (token, source string, err error) {
	st, err := in.stage(r)
	if err != nil {
		return "", "", err
	}
	if q.Form != clusters.FormBound {
		return "", "", fmt.Errorf("token of %s: this platform has no tokens of the form %s", q.Of.Name, q.Form)
	}
	source = "minted"
	if q.Expires.IsZero() {
		q.Expires = time.Now().Add(loginForTime)
	} else {
		source = "signed"
	}
	if q.Audience == "" {
		q.Audience = loginFor
	}
	st.mu.Lock()
	if st.issued.Extended {
		q.Expires = q.Expires.AddDate(1, 0, 0)
	}
	st.mu.Unlock()
	if token, err = st.by.sign(q.Of, q.Audience, q.Expires); err != nil {
		return "", "", fmt.Errorf("token of %s: %w", q.Of.Name, err)
	}
	return token, source, nil
}
