package istio

import (
	"testing"
)

func TestOnlyTheFriendIsServed(t *testing.T) {
	b := shared(t)
	t.Logf("up in %v", b.up)
	t.Logf("settled in %v", b.apply(t, friendly()))
	for from, want := range map[string]string{
		"web": "served 200", "thief": "http 403 RBAC: access denied envoy", "outsider": "tcp 0 reset",
	} {
		o := b.knock(t, from, b.charge(t, from))
		if says(o) != want {
			t.Errorf("%s: %q, want %q", from, says(o), want)
		}
		t.Logf("%s: %s: %+v", from, says(o), b.evidence(t, "bank", o))
	}
}
