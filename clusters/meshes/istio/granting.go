package istio

import (
	"context"
	"time"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

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

// parsePlatform reads an event of the API's audit log: a token that somebody
// asked for, an object that an account sent, or what one read.
func parsePlatform(line []byte, seen time.Time) (signals.Record, bool, error) {
	for _, parse := range []func([]byte, time.Time) (signals.Record, bool, error){
		kubeapi.TokenCreation, kubeapi.Submission, kubeapi.Reading,
	} {
		if r, ok, err := parse(line, seen); ok || err != nil {
			return r, ok, err
		}
	}
	return signals.Record{}, false, nil
}
