package consul

import "testing"

func TestWebMayChargeAndThiefMayNot(t *testing.T) {
	b := shared(t)
	t.Log("up", b.up)
	t.Log("settled", b.apply(t, friendly()))
	t.Log(says(b.knock(t, "web", b.charge(t))))
	t.Log(says(b.knock(t, "thief", b.charge(t))))
}
