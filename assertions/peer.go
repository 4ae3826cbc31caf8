package assertions

import (
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// SidePeer is the side that refuses when the only evidence is the peer's own answer,
// because nothing logs the refusal: a port without a listener, or an interface that
// answers "not found". Such a refusal counts only if the answer begins as the scenario
// says, no proxy sent it, and the twin was served at the same address before and
// after, which shows that the address exists and is reachable.
const SidePeer = "peer"

// byPeer judges a try by what the peer itself answered.
func byPeer(r Record, o attacker.Observation) Finding {
	f := Finding{Verdict: Inconclusive, Layer: string(o.Refusal.Layer), Reason: o.Refusal.Text}
	if o.Refusal.Layer == attacker.LayerDrop || o.Refusal.Layer == attacker.LayerSocket {
		f.Why = fmt.Sprintf("the attacker saw %s, which is not an answer", RefusalText(*o.Refusal))
		return f
	}
	if why := sameAddress(r, o); why != "" {
		f.Why = why
		return f
	}
	f.By, f.Proof = SidePeer, "reply"
	f.Why = fmt.Sprintf("refused by the peer at %s: %s", o.Remote, RefusalText(*o.Refusal))
	switch {
	case strings.Contains(o.Refusal.By, "envoy"):
		f.Why += fmt.Sprintf(", but a proxy gave this answer (%s)", o.Refusal.By)
	case string(o.Refusal.Layer) == r.Expect.Layer && strings.HasPrefix(o.Refusal.Text, r.Expect.Reason) && (r.Expect.Code == 0 || r.Expect.Code == o.Refusal.Code):
		// What follows differs from range to range.
		f.Verdict, f.Reason = Blocked, r.Expect.Reason
		return f
	}
	f.Verdict = WrongRefusal
	f.Why += fmt.Sprintf("; expected %s", r.Expect)
	return f
}

// sameAddress says why the twins do not show that somebody is at the address.
func sameAddress(r Record, o attacker.Observation) string {
	for _, side := range [][]Call{r.Before, r.After} {
		for _, c := range side {
			if c.Role != RoleTwin {
				continue
			}
			for _, t := range c.Observations {
				if at := plain(t.Remote).Addr(); !at.IsValid() || at != plain(o.Remote).Addr() {
					return fmt.Sprintf("the benign twin was served at %s but the attempt went to %s, so it is unknown who answers there", t.Remote, o.Remote)
				}
			}
		}
	}
	return ""
}
