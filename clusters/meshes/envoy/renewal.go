package envoy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// renewal gives a range new leaves at half of the time that is left to them
// when they are made: a certificate's end is cut down to a whole second, which
// is much of a leaf of two.
type renewal struct {
	wake  chan struct{}
	ended chan struct{}
}

func newRenewal() *renewal {
	return &renewal{wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// reconsider makes the loop look again at what is in force.
func (n *renewal) reconsider() {
	select {
	case n.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// renew renews until the context ends.
func (st *stage) renew(ctx context.Context) {
	defer close(st.renewal.ended)
	for {
		t := time.NewTimer(st.dueIn())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-st.renewal.wake:
			t.Stop()
		case <-t.C:
			st.renewNow(ctx)
		}
	}
}

// rest is the longest time without a look.
const rest = time.Hour

// dueIn is the time until the next renewal.
func (st *stage) dueIn() time.Duration {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.policy.Identity.NoRenewal {
		return rest
	}
	return max(0, time.Until(st.due))
}

// timeLeft is how long a leaf is still taken.
func timeLeft(p identity.KeyPair) (time.Duration, error) {
	pair, err := tls.X509KeyPair(p.Chain, p.Key)
	if err != nil {
		return 0, fmt.Errorf("read a leaf: %w", err)
	}
	return time.Until(pair.Leaf.NotAfter), nil
}

// asked is how long leaves are to live.
func asked(p policy.Lifetimes) time.Duration { return cmp.Or(p.Leaf, identity.LeafLifetime) }

// renewNow changes the secrets and nothing else. While the authority is
// stopped the leaves in force stay, and run out.
func (st *stage) renewNow(ctx context.Context) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.policy.Identity.NoRenewal {
		return
	}
	if err := st.issue(); err != nil {
		// StartRenewal wakes the loop; until then there is nothing to do.
		st.due = time.Now().Add(asked(st.policy.Identity) / 2)
		if errors.Is(err, identity.ErrStopped) {
			return
		}
	}
	rev := st.next()
	st.known[rev.ID] = rotated
	// A sidecar that cannot be told keeps its leaf; whoever settles next is told.
	_ = st.deliver(ctx, rev.ID)
}
