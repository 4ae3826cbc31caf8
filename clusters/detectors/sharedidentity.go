package detectors

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// AlertSharedIdentity is an identity that workloads of several namespaces have.
const AlertSharedIdentity = "identity-of-several-namespaces"

// SharedIdentity raises an alert for each identity that workloads of more than
// one namespace have, at the time that the policy was looked at, unless nobody
// audits it.
func SharedIdentity(r clusters.Range, p policy.Policy, now time.Time) []Alert {
	if p.Logging.NoAudit {
		return nil
	}
	spaces := map[string][]string{}
	for _, w := range r.Workloads {
		if w.Meshed && !slices.Contains(spaces[w.ID()], w.Namespace) {
			spaces[w.ID()] = append(spaces[w.ID()], w.Namespace)
		}
	}
	var out []Alert
	for id, names := range spaces {
		if len(names) > 1 {
			slices.Sort(names)
			out = append(out, Alert{At: now, Kind: AlertSharedIdentity, Identity: id,
				Text: fmt.Sprintf("%s is the identity of workloads in %s", id, strings.Join(names, " and "))})
		}
	}
	slices.SortFunc(out, func(a, b Alert) int { return strings.Compare(a.Identity, b.Identity) })
	return out
}
