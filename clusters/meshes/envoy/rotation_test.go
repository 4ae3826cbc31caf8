package envoy

import (
	"context"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func (b *bed) rotate(t testing.TB, what identity.Rotation) {
	t.Helper()
	ctx := limit(t)
	rev, err := b.Authority(t).Rotate(ctx, what)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.mesh.Settled(ctx, b.Range(), rev); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s settled after %s", what, time.Since(rev.Asked))
}

// load runs honest load of web while something is done.
func (b *bed) load(t testing.TB, during func()) attacker.LoadResult {
	t.Helper()
	ctx := limit(t)
	p, err := b.Session(b.Range(), "web").StartLoad(ctx, attacker.Load{Rate: 100, Workers: 2, Fresh: 50, Request: b.charge(t)})
	if err != nil {
		t.Fatal(err)
	}
	during()
	result, err := p.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests, %d lost", result.Requests, result.Lost)
	return result
}

var orderly = []identity.Rotation{
	identity.RotateLeaf, identity.RotateIssuer, identity.AddRoot, identity.UseRoot, identity.DropRoot,
}

func TestARotationWithAnOverlapLosesNoHonestRequest(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	before := b.sidecar(t, "bank").revision(listenerVersion)
	serial := b.Evidence(t, "bank", b.Request(t, "web", b.charge(t))).Serial
	result := b.load(t, func() {
		for _, what := range orderly {
			b.rotate(t, what)
		}
	})
	if result.Lost != 0 || result.Served == 0 {
		t.Errorf("%d of %d requests were lost: %+v", result.Lost, result.Requests, result.Losses)
	}
	if b.Evidence(t, "bank", b.Request(t, "web", b.charge(t))).Serial == serial {
		t.Error("web still shows the leaf from before")
	}
	if after := b.sidecar(t, "bank").revision(listenerVersion); after != before {
		t.Errorf("a rotation changed the listeners: %s, before %s", after, before)
	}
}

func (s *sidecar) revision(kind int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want[kind]
}

func TestALeafOfADroppedRootIsRefused(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	old := b.present(t, &identity.LeafRequest{Workload: b.Workload(t, "web")}, "")
	b.rotate(t, identity.AddRoot)
	b.rotate(t, identity.UseRoot)
	if o := b.Request(t, "outsider", old); !meshtest.Served(o) {
		t.Errorf("within the overlap: %s", meshtest.Says(o))
	}
	b.rotate(t, identity.DropRoot)
	o := b.Request(t, "outsider", old)
	expect(t, o, "tls 48 unknown_ca")
	b.Refusal(t, o, "tls", "unknown_ca")
}

func TestARootThatIsSwappedInOneStepLosesHonestRequests(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Changes.RootInOneStep = true
	b.Apply(t, p)
	result := b.load(t, func() {
		for _, what := range []identity.Rotation{identity.AddRoot, identity.UseRoot, identity.DropRoot} {
			b.rotate(t, what)
		}
	})
	if result.Lost == 0 {
		t.Errorf("none of %d requests was lost", result.Requests)
	}
	if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
		t.Errorf("after the swap: %s", meshtest.Says(o))
	}
}

// serialAfter waits until web shows a leaf that is not the one given.
func (b *bed) serialAfter(t testing.TB, old string) string {
	t.Helper()
	for ctx := limit(t); ctx.Err() == nil; clusters.Pause(ctx, pollEvery) {
		if s := b.Evidence(t, "bank", b.Request(t, "web", b.charge(t))).Serial; s != old {
			return s
		}
	}
	t.Fatal("the leaf was never renewed")
	return ""
}

func TestShortLeavesAreRenewedWithoutALoss(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Identity.Leaf = 4 * time.Second // half a life is more than a busy machine stands still for
	b.Apply(t, p)
	before := b.sidecar(t, "bank").revision(listenerVersion)
	result := b.load(t, func() { b.serialAfter(t, b.serialAfter(t, b.serialAfter(t, ""))) })
	if result.Lost != 0 {
		t.Errorf("%d of %d requests were lost: %+v", result.Lost, result.Requests, result.Losses)
	}
	if after := b.sidecar(t, "bank").revision(listenerVersion); after != before {
		t.Errorf("a renewal changed the listeners: %s, before %s", after, before)
	}
	b.Apply(t, meshtest.Friendly())
}

func TestLeavesRunOutWhenNobodyRenewsThem(t *testing.T) {
	b := shared(t)
	for name, stop := range map[string]func(*policy.Policy){
		"no renewal":        func(p *policy.Policy) { p.Identity.NoRenewal = true },
		"stopped authority": func(*policy.Policy) { b.rotate(t, identity.StopRenewal) },
	} {
		t.Run(name, func(t *testing.T) {
			p := meshtest.Friendly()
			p.Identity.Leaf = 2 * time.Second
			b.Apply(t, p)
			stop(&p)
			b.Apply(t, p)
			refused := attacker.Observation{}
			for ctx := limit(t); refused.Refusal == nil; clusters.Pause(ctx, pollEvery) {
				if ctx.Err() != nil {
					t.Fatal("the leaf never ran out")
				}
				if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
					refused = o
				}
			}
			t.Logf("%s; web's sidecar: %s", meshtest.Says(refused), b.Evidence(t, "web", refused).Reason)
			b.rotate(t, identity.StartRenewal)
			b.Apply(t, meshtest.Friendly())
			if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
				t.Errorf("after the renewal: %s", meshtest.Says(o))
			}
		})
	}
}

func TestTheDeliveredLeafIsTheOneInUse(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	for _, w := range b.Range().Workloads {
		pair, err := b.Authority(t).Delivered(context.Background(), w)
		if (err == nil) != w.Meshed {
			t.Errorf("%s: meshed %v, error %v", w.Name, w.Meshed, err)
		}
		if w.Meshed && string(pair.Key) != string(b.sidecar(t, w.Name).leaf.Key) {
			t.Errorf("%s: not the delivered key", w.Name)
		}
	}
}
