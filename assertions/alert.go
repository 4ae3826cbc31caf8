package assertions

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
)

// alert returns the text of the alert that the scenario names, or "" if none
// was raised for this call in time.
func alert(r Record, c Call) string {
	if r.Expect.Alert == "" || len(c.Observations) == 0 {
		return ""
	}
	within := time.Duration(r.Expect.Within)
	if within == 0 {
		within = 2 * time.Second
	}
	friends := places(slices.Concat(r.Before, r.After), RoleControl, RoleFence)
	ends := ends(slices.Concat(r.Before, r.After))
	named := map[string][]attacker.Observation{}
	for _, o := range c.Observations {
		named[o.Nonce] = append(named[o.Nonce], o)
	}
	for _, a := range r.Alerts {
		if a.Kind != r.Expect.Alert {
			continue
		}
		if ofState(a) {
			if late := a.At.Sub(c.Observations[len(c.Observations)-1].End); late <= within {
				return orKind(a)
			}
			continue
		}
		candidates := c.Observations
		if a.Nonce != "" {
			candidates = named[a.Nonce]
		}
		for _, o := range candidates {
			if !foreign(o, a, ends) && raises(o, a, friends) && !a.At.Before(o.Start.Add(-skew)) && a.At.Sub(o.End) <= within {
				return orKind(a)
			}
		}
	}
	return ""
}

// ofState says whether an alert is about the state of the mesh: it names neither
// a request nor a caller. Such an alert may be older than the attempt.
func ofState(a detectors.Alert) bool { return a.Nonce == "" && !a.Source.IsValid() }

func orKind(a detectors.Alert) string {
	if a.Text == "" {
		return a.Kind
	}
	return a.Text
}

// raises says whether a request raised an alert. They match by nonce, or by
// address and port. A proxy in the path uses its own port, so the address alone
// is enough if none of the other calls came from it.
func raises(o attacker.Observation, a detectors.Alert, others map[netip.Addr]bool) bool {
	if a.Nonce != "" {
		return a.Nonce == o.Nonce
	}
	source, local := plain(a.Source), plain(o.Local)
	return source.IsValid() && (source == local || source.Addr() == local.Addr() && !others[source.Addr()])
}

// foreign says whether an alert is about a connection that another call made
// from the same address.
func foreign(o attacker.Observation, a detectors.Alert, ends map[netip.AddrPort]bool) bool {
	source := plain(a.Source)
	own := source == plain(o.Local) || slices.ContainsFunc(o.Related, func(e netip.AddrPort) bool { return plain(e) == source })
	return a.Nonce == "" && ends[source] && !own
}

// ends are the local addresses of all connections that the calls made.
func ends(calls []Call) map[netip.AddrPort]bool {
	out := map[netip.AddrPort]bool{}
	for _, c := range calls {
		for _, o := range c.Observations {
			for _, end := range append([]netip.AddrPort{o.Local}, o.Related...) {
				out[plain(end)] = true
			}
		}
	}
	return out
}

// places are the addresses that calls came from. With roles, only calls in these
// roles count.
func places(calls []Call, roles ...string) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, c := range calls {
		if len(roles) > 0 && !slices.Contains(roles, c.Role) {
			continue
		}
		for _, o := range c.Observations {
			out[plain(o.Local).Addr()] = true
		}
	}
	return out
}

// falseAlarm says which honest call raised the alert that is meant for the
// attack. Twins are left out: a twin of a theft uses the stolen identity too.
func falseAlarm(r Record) string {
	foes := places(append([]Call{r.Tries}, r.Earlier...))
	for _, c := range slices.Concat(r.Before, r.After) {
		if c.Role == RoleTwin {
			continue
		}
		for _, o := range c.Observations {
			for _, a := range r.Alerts {
				if a.Kind == r.Expect.Alert && raises(o, a, foes) {
					return fmt.Sprintf("the honest %s raised %s", roleText(c.Role), a.Kind)
				}
			}
		}
	}
	return ""
}

// honest says whether at least one honest call was served before or after the
// attempt.
func honest(r Record) bool {
	e := gather(r)
	for _, c := range slices.Concat(r.Before, r.After) {
		if c.Role == RoleTwin {
			continue
		}
		if _, why, _ := served(r, e, c); why == "" {
			return true
		}
	}
	return false
}
