package assertions

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// evidence is an index of a record. A record may hold a thousand tries, and each
// needs its own receipts and signals.
type evidence struct {
	receipts map[string][]attacker.Receipt // by nonce; late ones last
	named    map[string][]signals.Signal   // by nonce
	unnamed  map[netip.AddrPort][]signals.Signal
	opened   map[connection]time.Time // first use of a kept connection
}

// A connection is one that tries had in common.
type connection struct {
	name  string
	local netip.AddrPort
}

// skew is how far two clocks may differ.
const skew = time.Second

func gather(r Record) evidence {
	e := evidence{
		receipts: map[string][]attacker.Receipt{}, named: map[string][]signals.Signal{},
		unnamed: map[netip.AddrPort][]signals.Signal{}, opened: map[connection]time.Time{},
	}
	for _, c := range slices.Concat(r.Receipts, r.Late) {
		// A receipt without a nonce cannot be assigned to a request.
		if c.Nonce != "" {
			e.receipts[c.Nonce] = append(e.receipts[c.Nonce], c)
		}
	}
	for _, s := range r.Signals {
		if s.Nonce != "" {
			e.named[s.Nonce] = append(e.named[s.Nonce], s)
		} else if source := plain(s.Source); source.IsValid() {
			e.unnamed[source] = append(e.unnamed[source], s)
		}
	}
	for _, o := range r.Tries.Observations {
		c := connection{o.Connection, plain(o.Local)}
		if first, ok := e.opened[c]; c.kept() && (!ok || o.Start.Before(first)) {
			e.opened[c] = o.Start
		}
	}
	return e
}

func (c connection) kept() bool { return c.name != "" && c.name != attacker.Fresh }

// plain makes addresses comparable: a dual-stack socket writes an IPv4 address
// in its IPv6 form.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// signals are those of one try, by nonce, or by address and port where a nonce
// cannot be sent. If the attacker's own proxy forwarded the connection, the next
// hop saw the address of that proxy.
func (e evidence) signals(o attacker.Observation) []signals.Signal {
	var out []signals.Signal
	if o.Nonce != "" {
		out = append(out, e.named[o.Nonce]...)
	}
	for _, key := range o.LogKeys {
		for _, s := range e.named[key] {
			if !s.At.Before(o.Start.Add(-skew)) && !s.At.After(o.End.Add(skew)) {
				out = append(out, s)
			}
		}
	}
	began := o.Start
	if first, ok := e.opened[connection{o.Connection, plain(o.Local)}]; ok {
		began = first
	}
	// Ports are reused, so a much older or newer signal belongs to another request.
	mine := func(s signals.Signal) bool {
		return !s.At.Before(began.Add(-skew)) && !s.At.After(o.End.Add(skew))
	}
	for _, end := range append([]netip.AddrPort{o.Local}, o.Related...) {
		for _, s := range e.from(end) {
			if mine(s) {
				out = append(out, s)
			}
		}
	}
	for _, s := range slices.Clone(out) {
		if s.Inbound || plain(s.Onward) == plain(o.Local) {
			continue
		}
		for _, next := range e.from(s.Onward) {
			if mine(next) {
				out = append(out, next)
			}
		}
	}
	return out
}

// from are the signals without a nonce of a caller's address.
func (e evidence) from(source netip.AddrPort) []signals.Signal {
	if !source.IsValid() {
		return nil
	}
	return e.unnamed[plain(source)]
}

// arrived is the first receipt of a nonce.
func (e evidence) arrived(nonce string) (attacker.Receipt, bool) {
	all := e.receipts[nonce]
	if len(all) == 0 {
		return attacker.Receipt{}, false
	}
	return slices.MinFunc(all, func(a, b attacker.Receipt) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq))
	}), true
}
