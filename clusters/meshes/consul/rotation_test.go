package consul

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

// Consul spreads the new leaves over half a minute, so this one is asked for.
func TestARootIsChangedAndNoHonestRequestIsLost(t *testing.T) {
	if os.Getenv("MESHBREACH_LONG") == "" {
		t.Skip("takes half a minute: set MESHBREACH_LONG")
	}
	b, err := newBed(release(t), "rotation", 1)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(t, friendly())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	web := b.Workload(t, "web")
	old := b.Leaf(t, identity.LeafRequest{Workload: web})
	load, stop := context.WithCancel(ctx)
	var (
		wg   sync.WaitGroup
		made int
	)
	wg.Go(func() {
		for load.Err() == nil {
			k := b.charge(t)
			if k.Nonce = meshtest.Nonce(); made%2 == 0 {
				k.Connection = "kept"
			}
			o, err := b.Session(b.Range(), "web").Request(ctx, k)
			if made++; err != nil || !meshtest.Served(o) {
				t.Errorf("request %d: %s, %v", made, meshtest.Says(o), err)
			}
		}
	})
	for _, what := range []identity.Rotation{identity.AddRoot, identity.UseRoot} {
		rev, err := b.Authority(t).Rotate(ctx, what)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.mesh.Settled(ctx, b.Range(), rev); what == identity.UseRoot && err != nil {
			t.Fatal(err)
		}
		t.Logf("%s settled after %s", what, time.Since(rev.Asked))
	}
	stop()
	wg.Wait()
	t.Logf("%d requests", made)
	if o := b.Request(t, "outsider", b.direct(t, b.Leaf(t, identity.LeafRequest{Workload: web}))); !meshtest.Served(o) {
		t.Errorf("a leaf of the new root: %s", meshtest.Says(o))
	}
	// The root that was in use stays trusted until it is pruned, after hours.
	if o := b.Request(t, "outsider", b.direct(t, old)); !meshtest.Served(o) {
		t.Errorf("a leaf of the old root: %s", meshtest.Says(o))
	}
	if err := b.Undo.Run(limit(t)); err != nil {
		t.Error(err)
	}
}
