package detectors

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

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
		if got := ForeignIssue([]signals.Signal{s}, r); len(got) != c.want || c.want == 1 && (got[0].Source != s.Source || got[0].Kind != AlertForeignIssue) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAnIdentityOfTwoNamespacesRaisesAnAlertUnlessNobodyLooks(t *testing.T) {
	r := prod()
	if got := SharedIdentity(r, policy.Policy{}, time.Unix(1, 0)); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for i, w := range r.Workloads {
		if w.Account == "web" {
			r.Workloads[i].Identity = "spiffe://x/svc/web"
		}
	}
	if got := SharedIdentity(r, policy.Policy{}, time.Unix(1, 0)); len(got) != 1 || got[0].Identity != "spiffe://x/svc/web" || !got[0].At.Equal(time.Unix(1, 0)) {
		t.Errorf("%+v", got)
	}
	if got := SharedIdentity(r, policy.Policy{Logging: policy.Logging{NoAudit: true}}, time.Unix(1, 0)); len(got) != 0 {
		t.Errorf("nobody looks, and yet %+v", got)
	}
}
