package assertions

import (
	"slices"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// Enough says whether no further signal could change what a record proves, when
// these were found: so whoever gathers them need not wait any longer. It is no
// verdict. A record whose breach a receipt proves needs none. Where an alert
// is expected, every try and every honest call has to have been seen
// at the target, for an alert may be a false one. Otherwise every try has to
// have been refused as the expectation names it.
func Enough(r Record, found []signals.Signal) bool {
	r.Signals = found
	e := gather(r)
	if r.Expect.Detected() {
		return seenAtTarget(r, found)
	}
	if _, ok := breached(r, e); ok || untried(r) != "" {
		return true
	}
	tries := r.Tries.Observations
	if r.Change != nil {
		var f *Finding
		if tries, f = changed(r, e); f != nil {
			return false
		}
	}
	return !slices.ContainsFunc(tries, func(o attacker.Observation) bool { return !refusedAsNamed(r, e, o) })
}

// refusedAsNamed says whether a try is known to have been refused by whom, and
// for what, the expectation names.
func refusedAsNamed(r Record, e evidence, o attacker.Observation) bool {
	named := func(s signals.Signal) bool { return matches(r, s) }
	switch {
	case o.Refusal == nil && r.Expect.After && o.Reply != nil:
		return slices.ContainsFunc(e.named[o.Nonce], named)
	case o.Refusal == nil:
		return false
	}
	return slices.ContainsFunc(e.signals(o), named) || r.Expect.By == SidePeer && byPeer(r, o).Verdict == Blocked
}

// seenAtTarget says whether every try and every honest call was seen at the
// target and, where an alert of the authority is expected, whether the authority
// spoke of every related connection.
func seenAtTarget(r Record, found []signals.Signal) bool {
	all := slices.Clone(r.Tries.Observations)
	for _, o := range all {
		for _, end := range o.Related {
			spoke := func(s signals.Signal) bool { return s.Layer == signals.LayerCA && s.Source == end }
			if r.Expect.Alert == detectors.AlertForeignIssue && !slices.ContainsFunc(found, spoke) {
				return false
			}
		}
	}
	for _, c := range slices.Concat(r.Before, r.After) {
		if c.Role != RoleTwin {
			all = append(all, c.Observations...)
		}
	}
	return !slices.ContainsFunc(all, func(o attacker.Observation) bool {
		return !slices.ContainsFunc(found, func(s signals.Signal) bool {
			return s.Workload == r.Target && s.Inbound && s.Nonce == o.Nonce
		})
	})
}
