package clusters

import (
	"net/netip"
	"testing"
	"time"
)

func TestALeafThatIsIssuedElsewhereRaisesAnAlert(t *testing.T) {
	r := stage()
	web, thief := at(t, r, "web"), at(t, r, "thief")
	good := Signal{
		At: time.Unix(1e9, 0), Workload: AuthorityName, Inbound: true, Layer: LayerCA,
		Source: netip.AddrPortFrom(web.Address, 40000), Identity: []string{web.ID()},
	}
	for name, c := range map[string]struct {
		change func(*Signal)
		want   int
	}{
		"at home":            {func(*Signal) {}, 0},
		"at a thief's":       {func(s *Signal) { s.Source = netip.AddrPortFrom(thief.Address, 40000) }, 1},
		"refused":            {func(s *Signal) { s.Source, s.Refused = netip.AddrPortFrom(thief.Address, 40000), true }, 0},
		"of a target":        {func(s *Signal) { s.Source, s.Workload = netip.AddrPortFrom(thief.Address, 40000), "bank" }, 0},
		"without an address": {func(s *Signal) { s.Source = netip.AddrPort{} }, 0},
		"of nobody":          {func(s *Signal) { s.Source, s.Identity = netip.AddrPortFrom(thief.Address, 1), []string{"spiffe://x/y"} }, 0},
	} {
		s := good
		c.change(&s)
		if got := ForeignIssue([]Signal{s}, r); len(got) != c.want || c.want == 1 && (got[0].Source != s.Source || got[0].Kind != AlertForeignIssue) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnIdentityOfTwoNamespacesRaisesAnAlertUnlessNobodyLooks(t *testing.T) {
	r := stage()
	if got := SharedIdentity(r, Policy{}, time.Unix(1, 0)); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for i, w := range r.Workloads {
		if w.Account == "web" {
			r.Workloads[i].Identity = "spiffe://x/svc/web"
		}
	}
	if got := SharedIdentity(r, Policy{}, time.Unix(1, 0)); len(got) != 1 || got[0].Identity != "spiffe://x/svc/web" || !got[0].At.Equal(time.Unix(1, 0)) {
		t.Errorf("%+v", got)
	}
	if got := SharedIdentity(r, Policy{Logging: Logging{NoAudit: true}}, time.Unix(1, 0)); len(got) != 0 {
		t.Errorf("nobody looks, and yet %+v", got)
	}
}
