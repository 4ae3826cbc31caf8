package istio

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// linkLocal are the networks in which nodes ask for their metadata. Whatever
// mistake is made, istiod never asks there.
func linkLocal() []string { return []string{"169.254.0.0/16", "fe80::/10", "fd00:ec2::/32"} }

// private are the other networks that are nobody's on the Internet: RFC 1918,
// 6598, 1122 and 4193, and what "this host" is.
func private() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "0.0.0.0/8", "::1/128", "fc00::/7"}
}

// blocked are the networks that istiod fetches nothing from, not even by way of
// a redirection: it compares the address that it is about to connect to. A list
// has no exceptions, so that around an issuer inside of such a network it names
// the parts of the network that he is not in.
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

// without are the networks that together are all of a network but one address.
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

// flipped is an address with one bit the other way, counted from the front.
func flipped(at netip.Addr, bit int) netip.Addr {
	b := at.AsSlice()
	b[bit/8] ^= 1 << (7 - bit%8)
	out, _ := netip.AddrFromSlice(b) // as long as it was
	return out
}

// fetches are the parts of a Fetching that istiod reads when it starts.
func fetches(f policy.Fetching) policy.Fetching {
	f.Tenant = false
	return f
}

// tenant gives and takes the right to say, in the own namespace, where the keys
// of an issuer are. It returns when the API decides so. st.mu is held.
func (st *stage) tenant(ctx context.Context, want bool) error {
	if st.gate.tenant == want {
		return nil
	}
	w, err := st.r.Workload(minter)
	if err != nil {
		return err
	}
	const group, kinds = "security.istio.io", "requestauthentications"
	role := roled(w, "tenant", map[string]any{"apiGroups": []string{group}, "resources": []string{kinds}, "verbs": []string{"create", "get", "delete"}})
	if err := st.give(ctx, want, role...); err != nil {
		return err
	}
	may := st.permitted(ctx, w, want, map[string]any{"namespace": w.Namespace, "verb": "create", "group": group, "resource": kinds})
	if err := st.until(ctx, fmt.Sprintf("%s may name issuers: %v", w.Name, want), may); err != nil {
		return err
	}
	st.gate.tenant = want
	return nil
}

// saidUnfetched begins what istiod writes when it has fetched no keys from where
// it was told to: the address as it was told, quoted, and why.
const saidUnfetched = "Failed to fetch public key from jwks URI "

// saidBlocked is why, where it is istiod that did not want to. It is the end of
// the line, which no answer of whoever was asked can be: those are quoted.
var saidBlocked = regexp.MustCompile(`: dial tcp \S+: connection to \S+ \(resolved IP \S+\) blocked: (.+) [0-9a-f.:]+/\d+$`)

// parseFetches reads a line of istiod's log; false for one that is not about an
// address that keys were to come from. Only what istiod itself did not want is
// refused: that nobody answers, or not with keys, is not.
func parseFetches(line []byte, seen time.Time) (signals.Record, bool, error) {
	parts := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
	text, found := strings.CutPrefix(parts[len(parts)-1], saidUnfetched)
	if !found || len(parts) < 3 {
		return signals.Record{}, false, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return signals.Record{}, false, err
	}
	address, err := strconv.Unquote(quoted)
	if err != nil {
		return signals.Record{}, false, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return signals.Record{}, false, err
	}
	s := signals.Signal{
		Seen: seen, Workload: signals.FromAuthority, Inbound: true, Layer: "tcp", Nonce: u.Query().Get("nonce"), Path: u.Path,
		Raw: text[:min(len(text), rawLimit)],
	}
	why := text[len(quoted):]
	if m := saidBlocked.FindStringSubmatch(why); m != nil {
		s.Refused, s.Reason = true, m[1]
	} else {
		s.Reason = strings.TrimSpace(why[strings.LastIndex(why, ":")+1:])
	}
	s.At, err = time.Parse(time.RFC3339Nano, parts[0])
	return signals.Record{Signal: s}, err == nil, err
}
