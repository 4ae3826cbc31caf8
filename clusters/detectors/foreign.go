package detectors

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// Names of the detectors that compare addresses.
const (
	AlertForeignAddress = "identity-at-foreign-address"
	AlertForeignIssue   = "issued-to-foreign-address"
)

// ForeignAddress raises an alert for each inbound signal in which a workload's
// identity came from an address where no workload of that identity runs: a
// stolen key, or a proxy in the path.
func ForeignAddress() Detector {
	return foreign{
		name:   AlertForeignAddress,
		reads:  func(s signals.Signal) bool { return s.Inbound },
		nonces: true,
		text: func(s signals.Signal, id string) string {
			return fmt.Sprintf("%s came to %s from %s", id, s.Workload, s.Source.Addr().Unmap())
		},
	}
}

// ForeignIssue raises an alert for each certificate that the certificate
// authority issued to an address where no workload of its identity runs.
func ForeignIssue() Detector {
	return foreign{
		name: AlertForeignIssue,
		reads: func(s signals.Signal) bool {
			return s.Workload == signals.FromAuthority && s.Layer == signals.LayerCA && !s.Refused
		},
		text: func(s signals.Signal, id string) string {
			return fmt.Sprintf("%s was issued to %s", id, s.Source.Addr().Unmap())
		},
	}
}

// A foreign detector compares the source address of signals with the addresses
// of the workloads that have the identity. It is silent about a signal without
// an address and about an identity that no workload of the range has, because
// nobody knows where that identity belongs.
type foreign struct {
	name   string
	reads  func(signals.Signal) bool // whether it looks at a signal
	nonces bool                      // whether its alerts carry the signal's nonce
	text   func(s signals.Signal, id string) string
}

func (d foreign) Name() string { return d.name }

// Alerts come in the order of the signals.
func (d foreign) Alerts(in Input) []Alert {
	homes := homes(in.Range)
	var out []Alert
	for _, s := range in.Signals {
		if !d.reads(s) || !s.Source.Addr().IsValid() {
			continue
		}
		for _, id := range s.Identity {
			home, known := homes[id]
			if !known || slices.Contains(home, s.Source.Addr().Unmap()) {
				continue
			}
			a := Alert{At: s.At, Kind: d.name, Source: s.Source, Identity: id, Text: d.text(s, id) + ", and runs at " + list(home)}
			if d.nonces {
				a.Nonce = s.Nonce
			}
			out = append(out, a)
		}
	}
	return out
}

// homes are the addresses of every identity's workloads.
func homes(r clusters.Range) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, w := range r.Workloads {
		out[w.ID()] = append(out[w.ID()], w.Address.Unmap())
	}
	return out
}

func list(addresses []netip.Addr) string {
	slices.SortFunc(addresses, netip.Addr.Compare)
	var out []string
	for _, a := range addresses {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}
