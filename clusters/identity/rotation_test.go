package identity_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
)

func TestARootRotationFlipsWhichLeavesAreTaken(t *testing.T) {
	ca := newCA(t)
	old := issue(t, ca)
	check := func(step string, roots int, pair identity.KeyPair, ok bool) {
		t.Helper()
		bundle := ca.Bundle()
		if n := len(certificates(t, bundle)); n != roots {
			t.Errorf("%s: %d roots, want %d", step, n, roots)
		}
		err := present(t, pair, bundle, now)
		if ok && err != nil || !ok && !unknownRoot(err) {
			t.Errorf("%s: server said %v, want taken: %t", step, err, ok)
		}
	}
	onlyA := ca.Bundle()
	check("before", 1, old, true)

	rotate(t, ca, identity.AddRoot)
	check("added, old leaf", 2, old, true)
	check("added, new leaf", 2, issue(t, ca), true)
	if err := present(t, issue(t, ca), onlyA, now); err != nil {
		t.Errorf("an added root signs already: %v", err)
	}

	rotate(t, ca, identity.UseRoot)
	check("in use, old leaf", 2, old, true)
	check("in use, new leaf", 2, issue(t, ca), true)
	if err := present(t, issue(t, ca), onlyA, now); !unknownRoot(err) {
		t.Errorf("a root in use does not sign: server said %v", err)
	}

	rotate(t, ca, identity.DropRoot)
	check("dropped, old leaf", 1, old, false)
	check("dropped, new leaf", 1, issue(t, ca), true)

	rotate(t, ca, identity.AddRoot, identity.UseRoot, identity.DropRoot)
	check("once more", 1, issue(t, ca), true)
}

func TestAnIssuerRotationKeepsOldLeavesGood(t *testing.T) {
	ca := newCA(t)
	old := issue(t, ca)
	rotate(t, ca, identity.RotateIssuer)
	fresh := issue(t, ca)
	if a, b := certificates(t, old.Chain)[1], certificates(t, fresh.Chain)[1]; a.Equal(b) {
		t.Error("the intermediate is the old one")
	}
	for _, pair := range []identity.KeyPair{old, fresh} {
		if err := present(t, pair, ca.Bundle(), now); err != nil {
			t.Error(err)
		}
	}
}

func TestARotationOutOfOrderIsRefusedAndChangesNothing(t *testing.T) {
	ca := newCA(t)
	before := ca.Bundle()
	for _, what := range []identity.Rotation{identity.UseRoot, identity.DropRoot, "sideways"} {
		if err := ca.Rotate(what); err == nil {
			t.Errorf("%s was done", what)
		}
	}
	if !bytes.Equal(before, ca.Bundle()) {
		t.Error("the bundle changed")
	}
}

func TestAStoppedAuthorityIssuesNothing(t *testing.T) {
	ca := newCA(t)
	rotate(t, ca, identity.StopRenewal)
	if _, err := ca.Issue(web, 0); !errors.Is(err, identity.ErrStopped) {
		t.Errorf("issue said %v, want %v", err, identity.ErrStopped)
	}
	leaf(t, ca, identity.LeafRequest{}) // the fixture still mints
	rotate(t, ca, identity.StartRenewal)
	issue(t, ca)
}

func TestDeliveredIsTheLastIssuedLeafAndNoOther(t *testing.T) {
	ca := newCA(t)
	if _, err := ca.Delivered(t.Context(), web); err == nil {
		t.Error("a leaf was delivered before any was issued")
	}
	issue(t, ca)
	last := issue(t, ca)
	leaf(t, ca, identity.LeafRequest{})
	got, err := ca.Delivered(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Chain, last.Chain) || !bytes.Equal(got.Key, last.Key) {
		t.Error("the delivered leaf is not the last issued one")
	}
}

func TestManyMayAskWhileRootsRotate(t *testing.T) {
	ca := newCA(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if _, err := ca.Issue(web, time.Minute); err != nil {
					t.Error(err)
				}
				if _, err := ca.Delivered(context.Background(), web); err != nil {
					t.Error(err)
				}
				ca.Bundle()
			}
		})
	}
	for range 5 {
		rotate(t, ca, identity.AddRoot, identity.UseRoot, identity.DropRoot)
	}
	all.Wait()
}
