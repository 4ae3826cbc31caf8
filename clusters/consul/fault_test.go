package consul

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

func (b *bed) unsettled(t testing.TB, p clusters.Policy, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	rev, err := b.mesh.Apply(ctx, b.r(), p)
	if err != nil {
		return err
	}
	return b.mesh.Settled(ctx, b.r(), rev)
}

func wants(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	t.Log(err)
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error %q", w, err)
		}
	}
}

func TestAHungSidecarIsNotSettled(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	bank := b.workload(t, "bank")
	if err := b.Host.Fault(bank, clusters.PartProxy, clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	// Nothing would change for it, so only a question can show that it hangs.
	same := b.unsettled(t, friendly(), 300*time.Millisecond)
	if err := b.Host.Fault(bank, clusters.PartProxy, clusters.FaultResume); err != nil {
		t.Fatal(err)
	}
	wants(t, same, "bank", "deadline exceeded", "an answer of its admin socket")
	b.apply(t, friendly())
}

func TestAReplacedRevisionAndAnUnknownOneAreErrors(t *testing.T) {
	b := shared(t)
	ctx := limit(t)
	old, err := b.mesh.Apply(ctx, b.r(), friendly())
	if err != nil {
		t.Fatal(err)
	}
	b.apply(t, generous())
	wants(t, b.mesh.Settled(ctx, b.r(), old), old.ID, "replaced")
	wants(t, b.mesh.Settled(ctx, b.r(), clusters.Revision{ID: "x"}), `"x"`)
}

// A mesh of its own: nothing of it comes back.
func TestWithoutItsServerAMeshHoldsWhatItHasAndTakesNothingNew(t *testing.T) {
	b, err := newBed(release(t), "headless", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(t, friendly())
	st := b.mesh.stages[b.r().Name]
	if err := b.mesh.host.FaultService(st.server.name, clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	wants(t, b.unsettled(t, generous(), 300*time.Millisecond), "deadline exceeded")
	if err := b.mesh.host.FaultService(st.server.name, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-st.server.process.Done()
	// A connection that was made while it hung, and never used, would say EOF.
	st.server.api.close()
	wants(t, b.unsettled(t, generous(), time.Second), "refused")
	if o := b.knock(t, "web", b.charge(t)); !served(o) {
		t.Errorf("honest traffic: %s", says(o))
	}
	o := b.knock(t, "thief", b.charge(t))
	if served(o) {
		t.Fatal("the thief is served")
	}
	b.refusal(t, o, "http", "rbac_access_denied_matched_policy[none]")
	if err := b.Host.Fault(b.workload(t, "bank"), clusters.PartProxy, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-b.sidecar(t, "bank").process.Done()
	if o := b.knock(t, "outsider", b.chargeAt(b.workload(t, "bank").Address)); served(o) {
		t.Error("without its sidecar the bank is open")
	}
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, s := range st.sidecars {
		select {
		case <-s.process.Done():
		default:
			t.Errorf("the sidecar of %s outlives the cluster", s.workload.Name)
		}
	}
}

func TestTwoRangesHaveServersOfTheirOwn(t *testing.T) {
	b, err := newBed(release(t), "pair", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("two ranges up in %s", b.up)
	if b.Ranges[0].TrustDomain == b.Ranges[1].TrustDomain || b.Ranges[0].Roots["mesh"] == b.Ranges[1].Roots["mesh"] {
		t.Error("they share a trust domain or a root")
	}
	b.apply(t, friendly()) // in the first alone
	k := b.chargeAt(b.Ranges[1].Workloads[1].VIP)
	k.Nonce = nonce()
	o, err := b.sessions[b.Ranges[1].Name+"/web"].Knock(limit(t), k)
	if err != nil || served(o) {
		t.Errorf("%s, %v", says(o), err)
	}
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Error(err)
	}
}
