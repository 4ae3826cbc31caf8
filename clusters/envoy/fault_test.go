package envoy

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
		t.Fatal(err)
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
	other := b.unsettled(t, generous(), 300*time.Millisecond)
	if err := b.Host.Fault(bank, clusters.PartProxy, clusters.FaultResume); err != nil {
		t.Fatal(err)
	}
	wants(t, same, "bank", "deadline exceeded", "an answer of its admin socket")
	wants(t, other, "bank", "deadline exceeded", "acknowledgement of TypedExtensionConfig")
	b.apply(t, friendly())
}

func TestARefusedConfigurationIsAnErrorInEnvoysWordsAtOnce(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	st := b.mesh.stages[b.r().Name]
	st.mu.Lock()
	good := st.r.Issuers
	st.r.Issuers = map[string]clusters.Issuer{"main": {URL: "https://main.test", JWKS: "no key set"}}
	st.mu.Unlock()
	b.retell(t)
	p := bound()
	p.Tokens.Issuers = []string{"main"}
	start := time.Now()
	err := b.unsettled(t, p, 5*time.Second)
	took := time.Since(start)
	st.mu.Lock()
	st.r.Issuers = good
	st.mu.Unlock()
	b.retell(t)
	wants(t, err, "bank", "refused TypedExtensionConfig", "jwks")
	if took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	b.apply(t, friendly())
}

// retell gives the sidecars the trust material of the stage.
func (b *bed) retell(t testing.TB) {
	t.Helper()
	st := b.mesh.stages[b.r().Name]
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.deliver(limit(t), st.next().ID); err != nil {
		t.Fatal(err)
	}
}

func TestAPolicyThatCannotBeRenderedChangesNothing(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	for _, p := range []clusters.Policy{
		{Allow: []clusters.Rule{{From: []string{"nobody"}, To: "bank"}}},
		{Allow: []clusters.Rule{{To: "bank"}}, Tokens: &clusters.Tokens{Issuers: []string{"nobody"}}},
		{Trust: clusters.Trust{ExtraRoots: []string{"nobody"}}},
	} {
		_, err := b.mesh.Apply(limit(t), b.r(), p)
		wants(t, err, "nobody")
	}
	if o := b.knock(t, "web", b.charge(t)); !served(o) {
		t.Error(says(o))
	}
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
	wants(t, b.mesh.Settled(ctx, b.r(), clusters.Revision{ID: "x"}), "no revision")
}

// A mesh of its own: a killed sidecar does not come back.
func TestAKilledSidecarIsAnErrorAndNothingOutlivesTheCluster(t *testing.T) {
	b, err := newBed(program(t), "doomed", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("two ranges up in %s", b.up)
	if err := b.Host.Fault(b.workload(t, "bank"), clusters.PartProxy, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	wants(t, b.unsettled(t, friendly(), 5*time.Second), "bank", "it has ended")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s to see that the sidecar is dead", took)
	}
	if o := b.knock(t, "outsider", b.charge(t)); served(o) {
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
