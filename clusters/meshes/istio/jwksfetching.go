package istio

import (
	"net/netip"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// linkLocal lists the networks where nodes read their metadata. istiod never
// fetches from them, whatever the misconfiguration.
func linkLocal() []string { return []string{"169.254.0.0/16", "fe80::/10", "fd00:ec2::/32"} }

// private lists the other networks that the Internet does not route: those of RFC
// 1918, 6598, 1122 and 4193, and "this host".
func private() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "0.0.0.0/8", "::1/128", "fc00::/7"}
}

// blocked lists the networks that istiod fetches nothing from, not even after a
// redirect: it compares the address that it is about to connect to. The list has
// no exceptions. If the issuer is inside such a network, the list therefore names
// the parts of the network around the issuer.
func blocked(r clusters.Range, f policy.Fetching) ([]string, error) {
	out := linkLocal()
	if f.Private {
		return out, nil
	}
	if f.Issuer == "" {
		return append(out, private()...), nil
	}
	w, err := r.Workload(f.Issuer)
	if err != nil {
		return nil, err
	}
	for _, text := range private() {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		for _, part := range without(network, w.Address) {
			out = append(out, part.String())
		}
	}
	return out, nil
}

// without returns the networks that together cover all of a network except one
// address.
func without(n netip.Prefix, at netip.Addr) []netip.Prefix {
	if !n.Contains(at) {
		return []netip.Prefix{n}
	}
	var out []netip.Prefix
	for bits := n.Bits() + 1; bits <= at.BitLen(); bits++ {
		out = append(out, netip.PrefixFrom(flipped(at, bits-1), bits).Masked())
	}
	return out
}

// flipped returns an address with one bit inverted, counted from the front.
func flipped(at netip.Addr, bit int) netip.Addr {
	b := at.AsSlice()
	b[bit/8] ^= 1 << (7 - bit%8)
	out, _ := netip.AddrFromSlice(b) // the length is unchanged
	return out
}
