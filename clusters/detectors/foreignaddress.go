package detectors

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// AlertForeignAddress is an identity seen at an address where no workload of
// that identity lives.
const AlertForeignAddress = "identity-at-foreign-address"

// ForeignAddress raises an alert for each inbound signal in which a workload's
// identity came from an address where no workload of that identity lives: a
// stolen key in another place, or a proxy in the way. A signal without an
// address raises none, and neither does an identity that no workload of the
// range has: nobody knows where that one should be. Alerts come in the order of
// the signals.
func ForeignAddress(signals []signals.Signal, r clusters.Range) []Alert {
	homes := map[string][]netip.Addr{}
	for _, w := range r.Workloads {
		homes[w.ID()] = append(homes[w.ID()], w.Address.Unmap())
	}
	var out []Alert
	for _, s := range signals {
		if !s.Inbound || !s.Source.Addr().IsValid() {
			continue
		}
		from := s.Source.Addr().Unmap()
		for _, id := range s.Identity {
			home, known := homes[id]
			if !known || slices.Contains(home, from) {
				continue
			}
			out = append(out, Alert{
				At: s.At, Kind: AlertForeignAddress, Nonce: s.Nonce, Source: s.Source, Identity: id,
				Text: fmt.Sprintf("%s came to %s from %s, and lives at %s", id, s.Workload, from, places(home)),
			})
		}
	}
	return out
}

func places(addresses []netip.Addr) string {
	slices.SortFunc(addresses, netip.Addr.Compare)
	var out []string
	for _, a := range addresses {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
