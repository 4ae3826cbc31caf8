package detectors

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// Names of the detectors that audit the state of the mesh. They raise nothing
// where the policy says that nobody audits.
const (
	AlertUnselected     = "no-policy-selects-workload"
	AlertSharedIdentity = "identity-of-several-namespaces"
)

// Unselected raises an alert when no rule of the policy selects the target,
// which is open for that reason.
func Unselected() Detector { return unselected{} }

type unselected struct{}

func (unselected) Name() string { return AlertUnselected }

func (unselected) Alerts(in Input) []Alert {
	selected := slices.ContainsFunc(in.Policy.Allow, func(r policy.Rule) bool { return r.To == in.Target })
	if selected || !in.Policy.Open || in.Policy.Logging.NoAudit {
		return nil
	}
	return []Alert{{At: in.Settled, Kind: AlertUnselected, Text: "no policy selects " + in.Target + ", so every identity may call it"}}
}

// SharedIdentity raises an alert for each identity that workloads of more than
// one namespace have.
func SharedIdentity() Detector { return sharedIdentity{} }

type sharedIdentity struct{}

func (sharedIdentity) Name() string { return AlertSharedIdentity }

// Alerts are sorted by identity.
func (sharedIdentity) Alerts(in Input) []Alert {
	if in.Policy.Logging.NoAudit {
		return nil
	}
	namespaces := map[string][]string{}
	for _, w := range in.Range.Workloads {
		if w.Meshed && !slices.Contains(namespaces[w.ID()], w.Namespace) {
			namespaces[w.ID()] = append(namespaces[w.ID()], w.Namespace)
		}
	}
	var out []Alert
	for id, names := range namespaces {
		if len(names) > 1 {
			slices.Sort(names)
			out = append(out, Alert{At: in.Settled, Kind: AlertSharedIdentity, Identity: id,
				Text: fmt.Sprintf("%s is the identity of workloads in %s", id, strings.Join(names, " and "))})
		}
	}
	slices.SortFunc(out, func(a, b Alert) int { return strings.Compare(a.Identity, b.Identity) })
	return out
}
