package detectors

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// prod is a range with a friend, a target and others.
func prod() clusters.Range {
	r := clusters.Range{Name: "r1", TrustDomain: "one.test"}
	for i, m := range clusters.Cast() {
		r.Workloads = append(r.Workloads, clusters.Workload{
			Name: m.Name, Range: r.Name, TrustDomain: r.TrustDomain, Namespace: m.Namespace, Account: m.Account,
			Meshed: m.Meshed, Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}),
		})
	}
	return r
}

func at(t *testing.T, r clusters.Range, name string) clusters.Workload {
	t.Helper()
	w, err := r.Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnIdentityAtAForeignAddressRaisesAnAlert(t *testing.T) {
	r := prod()
	web, thief := at(t, r, "web"), at(t, r, "thief")
	good := signals.Signal{
		At: time.Unix(1e9, 0), Workload: "bank", Inbound: true, Layer: "http", Nonce: "n1",
		Source: netip.AddrPortFrom(web.Address, 40000), Identity: []string{web.ID()},
	}
	second := web
	second.Address = netip.MustParseAddr("10.0.0.99")
	for _, c := range []struct {
		name   string
		change func(*signals.Signal)
		r      clusters.Range
		want   bool
	}{
		{"at home", func(*signals.Signal) {}, r, false},
		{"at a thief's", func(s *signals.Signal) { s.Source = netip.AddrPortFrom(thief.Address, 40000) }, r, true},
		{"at an address that nobody has", func(s *signals.Signal) { s.Source = netip.MustParseAddrPort("192.0.2.1:1") }, r, true},
		{"at home, written as IPv6", func(s *signals.Signal) {
			s.Source = netip.AddrPortFrom(netip.AddrFrom16(web.Address.As16()), 40000)
		}, r, false},
		{"at the second home of two", func(s *signals.Signal) { s.Source = netip.AddrPortFrom(second.Address, 1) },
			clusters.Range{Workloads: append(prod().Workloads, second)}, false},
		{"without an address", func(s *signals.Signal) { s.Source = netip.AddrPort{} }, r, false},
		{"without an identity", func(s *signals.Signal) { s.Identity = nil }, r, false},
		{"an identity that no workload has", func(s *signals.Signal) { s.Identity = []string{"spiffe://else.test/ns/a/sa/b"} }, r, false},
		{"on the way out", func(s *signals.Signal) { s.Inbound = false; s.Source = netip.MustParseAddrPort("127.0.0.1:1") }, r, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.change(&s)
			got := ForeignAddress().Alerts(Input{Signals: []signals.Signal{s}, Range: c.r})
			if (len(got) == 1) != c.want {
				t.Fatalf("alerts %+v, want one: %t", got, c.want)
			}
			if !c.want {
				return
			}
			a := got[0]
			if a.Kind != AlertForeignAddress || a.Nonce != "n1" || a.Source != s.Source || a.Identity != web.ID() || !a.At.Equal(s.At) {
				t.Errorf("alert %+v does not join with its signal", a)
			}
			for _, part := range []string{s.Source.Addr().String(), web.Address.String(), web.ID(), "bank"} {
				if !strings.Contains(a.Text, part) {
					t.Errorf("text %q does not name %s", a.Text, part)
				}
			}
		})
	}
}

func TestALeafThatIsIssuedElsewhereRaisesAnAlert(t *testing.T) {
	r := prod()
	web, thief := at(t, r, "web"), at(t, r, "thief")
	good := signals.Signal{
		At: time.Unix(1e9, 0), Workload: signals.FromAuthority, Inbound: true, Layer: signals.LayerCA,
		Source: netip.AddrPortFrom(web.Address, 40000), Identity: []string{web.ID()},
	}
	for name, c := range map[string]struct {
		change func(*signals.Signal)
		want   int
	}{
		"at home":            {func(*signals.Signal) {}, 0},
		"at a thief's":       {func(s *signals.Signal) { s.Source = netip.AddrPortFrom(thief.Address, 40000) }, 1},
		"refused":            {func(s *signals.Signal) { s.Source, s.Refused = netip.AddrPortFrom(thief.Address, 40000), true }, 0},
		"of a target":        {func(s *signals.Signal) { s.Source, s.Workload = netip.AddrPortFrom(thief.Address, 40000), "bank" }, 0},
		"without an address": {func(s *signals.Signal) { s.Source = netip.AddrPort{} }, 0},
		"of nobody": {func(s *signals.Signal) {
			s.Source, s.Identity = netip.AddrPortFrom(thief.Address, 1), []string{"spiffe://x/y"}
		}, 0},
	} {
		s := good
		c.change(&s)
		if got := ForeignIssue().Alerts(Input{Signals: []signals.Signal{s}, Range: r}); len(got) != c.want || c.want == 1 && (got[0].Source != s.Source || got[0].Kind != AlertForeignIssue) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
