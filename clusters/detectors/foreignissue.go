package detectors

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// AlertForeignIssue is a certificate that was issued to an address where no
// workload of its identity lives.
const AlertForeignIssue = "issued-to-foreign-address"

// ForeignIssue raises an alert for each certificate that an authority says it
// issued to an address where no workload of that identity lives. A signal
// without an address raises none, and neither does an identity that no
// workload of the range has.
func ForeignIssue(found []signals.Signal, r clusters.Range) []Alert {
	homes := map[string][]netip.Addr{}
	for _, w := range r.Workloads {
		homes[w.ID()] = append(homes[w.ID()], w.Address.Unmap())
	}
	var out []Alert
	for _, s := range found {
		if s.Workload != signals.FromAuthority || s.Layer != signals.LayerCA || s.Refused || !s.Source.IsValid() {
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
