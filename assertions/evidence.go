package assertions

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// evidence is a record by what joins its parts: a record may hold a thousand
// tries, and each has to find its own.
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
		// What carries no nonce joins nothing.
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

// signals are those of one try: by nonce, or by address and port where no
// nonce could travel. Where the attacker's own proxy passed the connection on,
// the next hop saw the address that this proxy did it from.
func (e evidence) signals(o attacker.Observation) []signals.Signal {
	var out []signals.Signal
	if o.Nonce != "" {
		out = append(out, e.named[o.Nonce]...)
	}
	for _, mark := range o.Marks {
		for _, s := range e.named[mark] {
			if !s.At.Before(o.Start.Add(-skew)) && !s.At.After(o.End.Add(skew)) {
				out = append(out, s)
			}
		}
	}
	began := o.Start
	if first, ok := e.opened[connection{o.Connection, plain(o.Local)}]; ok {
		began = first
	}
	// Ports are used again: what is much older or younger was another's.
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
