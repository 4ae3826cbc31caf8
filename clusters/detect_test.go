package clusters

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, r Range, name string) Workload {
	t.Helper()
	w, err := r.Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnIdentityAtAForeignAddressRaisesAnAlert(t *testing.T) {
	r := stage()
	web, thief := at(t, r, "web"), at(t, r, "thief")
	good := Signal{
		At: time.Unix(1e9, 0), Workload: "bank", Inbound: true, Layer: "http", Nonce: "n1",
		Source: netip.AddrPortFrom(web.Address, 40000), Identity: []string{web.ID()},
	}
	second := web
	second.Address = netip.MustParseAddr("10.0.0.99")
	for _, c := range []struct {
		name   string
		change func(*Signal)
		r      Range
		want   bool
	}{
		{"at home", func(*Signal) {}, r, false},
		{"at a thief's", func(s *Signal) { s.Source = netip.AddrPortFrom(thief.Address, 40000) }, r, true},
		{"at an address that nobody has", func(s *Signal) { s.Source = netip.MustParseAddrPort("192.0.2.1:1") }, r, true},
		{"at home, written as IPv6", func(s *Signal) {
			s.Source = netip.AddrPortFrom(netip.AddrFrom16(web.Address.As16()), 40000)
		}, r, false},
		{"at the second home of two", func(s *Signal) { s.Source = netip.AddrPortFrom(second.Address, 1) },
			Range{Workloads: append(stage().Workloads, second)}, false},
		{"without an address", func(s *Signal) { s.Source = netip.AddrPort{} }, r, false},
		{"without an identity", func(s *Signal) { s.Identity = nil }, r, false},
		{"an identity that no workload has", func(s *Signal) { s.Identity = []string{"spiffe://else.test/ns/a/sa/b"} }, r, false},
		{"on the way out", func(s *Signal) { s.Inbound = false; s.Source = netip.MustParseAddrPort("127.0.0.1:1") }, r, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.change(&s)
			got := ForeignAddress([]Signal{s}, c.r)
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

func TestATargetThatNoRuleSelectsIsAnAlertUnlessNobodyAudits(t *testing.T) {
	now := time.Unix(1, 0)
	ruled := Policy{Open: true, Allow: []Rule{{To: "bank"}}}
	for name, c := range map[string]struct {
		policy Policy
		alerts int
	}{
		"open and unselected": {Policy{Open: true}, 1},
		"selected":            {ruled, 0},
		"closed":              {Policy{}, 0},
		"nobody audits":       {Policy{Open: true, Logging: Logging{NoAudit: true}}, 0},
	} {
		if got := Unselected(c.policy, "bank", now); len(got) != c.alerts {
			t.Errorf("%s: %d alerts, want %d", name, len(got), c.alerts)
		}
	}
}
