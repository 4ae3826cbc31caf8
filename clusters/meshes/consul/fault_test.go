package consul

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestAHungSidecarIsNotSettled(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	var same error
	// Nothing would change for it, so only a question can show that it hangs.
	b.Hung(t, "bank", func() { same = b.Unsettled(t, friendly(), 300*time.Millisecond) })
	meshtest.WantsNotReady(t, same, "bank", "deadline exceeded", "an answer of its admin socket")
	b.Apply(t, friendly())
}

func TestAReplacedRevisionAndAnUnknownOneAreErrors(t *testing.T) {
	shared(t).TakesNoOldRevision(t, friendly(), generous(), `"x"`)
}

// A mesh of its own: nothing of it comes back.
func TestWithoutItsServerAMeshHoldsWhatItHasAndTakesNothingNew(t *testing.T) {
	b, err := newBed(release(t), "headless", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(t, friendly())
	st := b.mesh.stages[b.Range().Name]
	if err := b.mesh.host.FaultService(st.server.name, clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	meshtest.Wants(t, b.Unsettled(t, generous(), 300*time.Millisecond), "deadline exceeded")
	if err := b.mesh.host.FaultService(st.server.name, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-st.server.process.Done()
	// A connection that was made while it hung, and never used, would say EOF.
	st.server.api.close()
	meshtest.Wants(t, b.Unsettled(t, generous(), time.Second), "refused")
	if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
		t.Errorf("honest traffic: %s", meshtest.Says(o))
	}
	o := b.Request(t, "thief", b.charge(t))
	if meshtest.Served(o) {
		t.Fatal("the thief is served")
	}
	b.Refusal(t, o, "http", "rbac_access_denied_matched_policy[none]")
	b.Fault(t, b.Workload(t, "bank"), clusters.FaultKill)
	<-b.sidecar(t, "bank").process.Done()
	if o := b.Request(t, "outsider", b.chargeAt(b.Workload(t, "bank").Address)); meshtest.Served(o) {
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
	t.Logf("two ranges up in %s", b.Took)
	if b.Ranges[0].TrustDomain == b.Ranges[1].TrustDomain || b.Ranges[0].Roots["mesh"] == b.Ranges[1].Roots["mesh"] {
		t.Error("they share a trust domain or a root")
	}
	b.Apply(t, friendly()) // in the first alone
	k := b.chargeAt(b.Ranges[1].Workloads[1].VIP)
	k.Nonce = meshtest.Nonce()
	o, err := b.Session(b.Ranges[1], "web").Request(limit(t), k)
	if err != nil || meshtest.Served(o) {
		t.Errorf("%s, %v", meshtest.Says(o), err)
	}
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Error(err)
	}
}

func TestAMeshThatEnforcesLessComesUpAndSaysWhatIsPending(t *testing.T) {
	for i, loss := range meshtest.Losses() {
		t.Run(loss.Of, func(t *testing.T) {
			b, err := newMesh(Mesh{lose: loss.Leave}, release(t), fmt.Sprint("lossy", i), 1)
			if err != nil {
				t.Fatal(err)
			}
			pending := "public_listener has the intentions"
			if loss.Of == "mutual TLS" {
				pending = "public_listener takes plaintext: true"
			}
			p := friendly()
			p.Tokens = &policy.Tokens{Issuers: []string{"main"}, Audience: "bank"}
			p.Allow[0].Token = &policy.Claim{Issuer: "main", Subject: "web"}
			b.NeverSettles(t, p, pending)
			if err := b.Undo.Run(limit(t)); err != nil {
				t.Error(err)
			}
		})
	}
}
