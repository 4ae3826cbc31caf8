package runner

import (
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// wanted ends the wait for evidence: the record shows a hold or, where an alert is
// expected, every try and every honest call was seen at the target.
func wanted(r assertions.Record) func([]signals.Signal) bool {
	if !r.Expect.Detected() {
		return func(found []signals.Signal) bool {
			r.Signals = found
			return assertions.Judge(r).Verdict == assertions.Blocked
		}
	}
	all := slices.Clone(r.Tries.Observations)
	for _, c := range slices.Concat(r.Before, r.After) {
		if c.Role != assertions.RoleTwin {
			all = append(all, c.Observations...) // an honest call may raise a false alarm
		}
	}
	return func(found []signals.Signal) bool {
		if r.Expect.Alert == detectors.AlertForeignIssue && !issuing(found, r.Tries.Observations) {
			return false
		}
		return !slices.ContainsFunc(all, func(o attacker.Observation) bool {
			return !slices.ContainsFunc(found, func(s signals.Signal) bool {
				return s.Workload == r.Target && s.Inbound && s.Nonce == o.Nonce
			})
		})
	}
}

// issuing says whether the authority spoke of every related connection.
func issuing(found []signals.Signal, tries []attacker.Observation) bool {
	for _, o := range tries {
		for _, end := range o.Related {
			if !slices.ContainsFunc(found, func(s signals.Signal) bool { return s.Layer == signals.LayerCA && s.Source == end }) {
				return false
			}
		}
	}
	return true
}

// since is when the first call of the record began.
func since(r assertions.Record) time.Time {
	for _, c := range append(slices.Clone(r.Before), r.Tries) {
		if len(c.Observations) > 0 {
			return c.Observations[0].Start
		}
	}
	return time.Time{}
}
