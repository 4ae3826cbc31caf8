package detectors

import (
	"slices"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestATargetThatNoRuleSelectsIsAnAlertUnlessNobodyAudits(t *testing.T) {
	now := time.Unix(1, 0)
	ruled := policy.Policy{Open: true, Allow: []policy.Rule{{To: "bank"}}}
	for name, c := range map[string]struct {
		policy policy.Policy
		alerts int
	}{
		"open and unselected": {policy.Policy{Open: true}, 1},
		"selected":            {ruled, 0},
		"closed":              {policy.Policy{}, 0},
		"nobody audits":       {policy.Policy{Open: true, Logging: policy.Logging{NoAudit: true}}, 0},
	} {
		if got := Unselected().Alerts(Input{Policy: c.policy, Target: "bank", Settled: now}); len(got) != c.alerts {
			t.Errorf("%s: %d alerts, want %d", name, len(got), c.alerts)
		}
	}
}

func TestAnIdentityOfTwoNamespacesRaisesAnAlertUnlessNobodyLooks(t *testing.T) {
	r := prod()
	if got := SharedIdentity().Alerts(Input{Range: r, Settled: time.Unix(1, 0)}); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for i, w := range r.Workloads {
		if w.Account == "web" {
			r.Workloads[i].Identity = "spiffe://x/svc/web"
		}
	}
	if got := SharedIdentity().Alerts(Input{Range: r, Settled: time.Unix(1, 0)}); len(got) != 1 || got[0].Identity != "spiffe://x/svc/web" || !got[0].At.Equal(time.Unix(1, 0)) {
		t.Errorf("%+v", got)
	}
	if got := SharedIdentity().Alerts(Input{Range: r, Policy: policy.Policy{Logging: policy.Logging{NoAudit: true}}, Settled: time.Unix(1, 0)}); len(got) != 0 {
		t.Errorf("nobody looks, and yet %+v", got)
	}
}

// door is a detector from outside of this package.
type door struct{}

func (door) Name() string { return "door-is-open" }

func (door) Alerts(in Input) []Alert {
	if !in.Policy.Open {
		return nil
	}
	return []Alert{{At: in.Settled, Kind: "door-is-open", Text: in.Target}}
}

func TestADetectorIsOneValueOfAList(t *testing.T) {
	list := append(All(), door{})
	in := Input{Policy: policy.Policy{Open: true}, Target: "bank", Settled: time.Unix(1, 0)}
	got := Alerts(list, in)
	if len(got) != 2 || got[0].Kind != AlertUnselected || got[1].Kind != "door-is-open" {
		t.Errorf("alerts %+v, want those of the list, in its order", got)
	}
	names := Names(list)
	if slices.Sort(names); len(slices.Compact(names)) != len(list) {
		t.Errorf("two detectors have one name: %v", names)
	}
}
