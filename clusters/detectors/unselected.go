package detectors

import (
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// AlertUnselected is a target that no rule of the policy selects, and that is
// open for that reason.
const AlertUnselected = "no-policy-selects-workload"

// Unselected raises an alert for a target that is open because no rule selects
// it, unless nobody audits the policy.
func Unselected(p policy.Policy, target string, now time.Time) []Alert {
	selected := slices.ContainsFunc(p.Allow, func(r policy.Rule) bool { return r.To == target })
	if selected || !p.Open || p.Logging.NoAudit {
		return nil
	}
	return []Alert{{At: now, Kind: AlertUnselected, Text: "no policy selects " + target + ", so every identity may call it"}}
}
