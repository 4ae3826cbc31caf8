package clusters

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// AlertForeignIssue is a certificate that was issued to an address where no
// workload of its identity lives.
const AlertForeignIssue = "issued-to-foreign-address"

// AlertSharedIdentity is an identity that workloads of several namespaces have.
const AlertSharedIdentity = "identity-of-several-namespaces"

// ForeignIssue raises an alert for each certificate that an authority says it
// issued to an address where no workload of that identity lives. A signal
// without an address raises none, and neither does an identity that no
// workload of the range has.
func ForeignIssue(signals []Signal, r Range) []Alert {
	homes := map[string][]netip.Addr{}
	for _, w := range r.Workloads {
		homes[w.ID()] = append(homes[w.ID()], w.Address.Unmap())
	}
	var out []Alert
	for _, s := range signals {
		if s.Workload != AuthorityName || s.Layer != LayerCA || s.Refused || !s.Source.IsValid() {
			continue
		}
		from := s.Source.Addr().Unmap()
		for _, id := range s.Identity {
			home, known := homes[id]
			if !known || slices.Contains(home, from) {
				continue
			}
			out = append(out, Alert{
				At: s.At, Kind: AlertForeignIssue, Source: s.Source, Identity: id,
				Text: fmt.Sprintf("%s was issued to %s, and lives at %s", id, from, places(home)),
			})
		}
	}
	return out
}

// SharedIdentity raises an alert for each identity that workloads of more than
// one namespace have, at the time that the policy was looked at, unless nobody
// audits it.
func SharedIdentity(r Range, p Policy, now time.Time) []Alert {
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
