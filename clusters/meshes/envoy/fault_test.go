package envoy

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

func TestAHungSidecarIsNotSettled(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	var same, other error
	b.Hung(t, "bank", func() {
		// Nothing would change for it, so only a question can show that it hangs.
		same = b.Unsettled(t, meshtest.Friendly(), 300*time.Millisecond)
		other = b.Unsettled(t, generous(), 300*time.Millisecond)
	})
	meshtest.WantsNotReady(t, same, "bank", "deadline exceeded", "an answer of its admin socket")
	meshtest.WantsNotReady(t, other, "bank", "deadline exceeded", "acknowledgement of TypedExtensionConfig")
	b.Apply(t, meshtest.Friendly())
}

func TestARefusedConfigurationIsAnErrorInEnvoysWordsAtOnce(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	st := b.mesh.stages[b.Range().Name]
	st.mu.Lock()
	good := st.r.Issuers
	st.r.Issuers = map[string]clusters.Issuer{"main": {URL: "https://main.test", JWKS: "no key set"}}
	st.mu.Unlock()
	b.retell(t)
	p := bound()
	p.Tokens.Issuers = []string{"main"}
	start := time.Now()
	err := b.Unsettled(t, p, 5*time.Second)
	took := time.Since(start)
	st.mu.Lock()
	st.r.Issuers = good
	st.mu.Unlock()
	b.retell(t)
	meshtest.Wants(t, err, "bank", "refused TypedExtensionConfig", "jwks")
	if took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	b.Apply(t, meshtest.Friendly())
}

// retell gives the sidecars the trust material of the stage.
func (b *bed) retell(t testing.TB) {
	t.Helper()
	st := b.mesh.stages[b.Range().Name]
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.deliver(limit(t), st.next().ID); err != nil {
		t.Fatal(err)
	}
}

func TestAPolicyThatCannotBeRenderedChangesNothing(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	b.TakesNothingUnsaid(t)
	if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
		t.Error(meshtest.Says(o))
	}
}

func TestAReplacedRevisionAndAnUnknownOneAreErrors(t *testing.T) {
	shared(t).TakesNoOldRevision(t, meshtest.Friendly(), generous(), "no revision")
}

// A mesh of its own: a killed sidecar does not come back.
func TestAKilledSidecarIsAnErrorAndNothingOutlivesTheCluster(t *testing.T) {
	b, err := newBed(program(t), "doomed", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("two ranges up in %s", b.Took)
	b.Fault(t, b.Workload(t, "bank"), clusters.FaultKill)
	start := time.Now()
	meshtest.Wants(t, b.Unsettled(t, meshtest.Friendly(), 5*time.Second), "bank", "it has ended")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s to see that the sidecar is dead", took)
	}
	if o := b.Request(t, "outsider", b.charge(t)); meshtest.Served(o) {
		t.Error("without its sidecar the bank is open")
	}
	ctx := limit(t)
	if err := b.Undo.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for _, st := range b.mesh.stages {
		for _, s := range st.sidecars {
			select {
			case <-s.process.Done():
			case <-ctx.Done():
				t.Errorf("the sidecar of %s outlives the cluster", s.workload.Name)
			}
		}
	}
}

func TestAMeshThatEnforcesLessComesUpAndSaysWhatIsPending(t *testing.T) {
	for i, loss := range meshtest.Losses() {
		t.Run(loss.Of, func(t *testing.T) {
			b, err := newMesh(Mesh{lose: loss.Leave}, program(t), fmt.Sprint("lossy", i), 1)
			if err != nil {
				t.Fatal(err)
			}
			pending := "acknowledgement of TypedExtensionConfig"
			if loss.Of == "mutual TLS" {
				pending = "acknowledgement of Listener"
			}
			b.NeverSettles(t, bound(), pending)
			if err := b.Undo.Run(limit(t)); err != nil {
				t.Error(err)
			}
		})
	}
}
