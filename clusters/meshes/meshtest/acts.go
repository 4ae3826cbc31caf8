package meshtest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// Limit is a context that ends with the test, or after a time.
func Limit(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func (b *Bed) limit(t testing.TB) context.Context { return Limit(t, b.patience) }

// Range is the first one, which tests use if nothing else is said.
func (b *Bed) Range() clusters.Range { return b.Ranges[0] }

// Workload is a member of the range.
func (b *Bed) Workload(t testing.TB, name string) clusters.Workload {
	t.Helper()
	w, err := b.Range().Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Apply makes a policy hold, and says how long that took.
func (b *Bed) Apply(t testing.TB, p policy.Policy) time.Duration {
	t.Helper()
	ctx := b.limit(t)
	rev, err := b.Mesh.Apply(ctx, b.Range(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Mesh.Settled(ctx, b.Range(), rev); err != nil {
		t.Fatal(err)
	}
	return time.Since(rev.Asked)
}

// Unsettled is why a policy does not hold: the error of asking for it, or else
// of waiting for it. Each of the two has the given time.
func (b *Bed) Unsettled(t testing.TB, p policy.Policy, within time.Duration) error {
	t.Helper()
	asking, asked := context.WithTimeout(t.Context(), within)
	defer asked()
	rev, err := b.Mesh.Apply(asking, b.Range(), p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return b.Mesh.Settled(ctx, b.Range(), rev)
}

var nonces atomic.Int64 //nolint:gochecknoglobals // no two tests of a binary may share a nonce

// Nonce is a new one.
func Nonce() string { return "n" + strconv.FormatInt(nonces.Add(1), 10) }

// Charge is the honest request to the bank's service, where a workload reaches it.
func (b *Bed) Charge(t testing.TB, from string) attacker.Request {
	t.Helper()
	bank := b.Workload(t, "bank")
	return attacker.Request{
		Address: netip.AddrPortFrom(bank.Reached(b.Workload(t, from)), clusters.PortHTTP).String(),
		Method:  "POST", Path: "/v1/charge", Host: "bank." + bank.Namespace,
	}
}

// Request lets a workload request.
func (b *Bed) Request(t testing.TB, from string, k attacker.Request) attacker.Observation {
	t.Helper()
	if k.Nonce == "" {
		k.Nonce = Nonce()
	}
	o, err := b.Session(b.Range(), from).Request(b.limit(t), k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Evidence is what a sidecar said of an attempt: bank's as it came in, anybody
// else's as it went out.
func (b *Bed) Evidence(t testing.TB, by string, o attacker.Observation) signals.Signal {
	t.Helper()
	ctx := Limit(t, 2*time.Second)
	mine := func(s signals.Signal) bool { return s.Workload == by && s.Inbound == (by == "bank") }
	found, err := b.Mesh.Evidence(ctx, b.Range(), signals.Query{
		Nonces: []string{o.Nonce}, Sources: []netip.AddrPort{o.Local}, Since: o.Start,
		Want: func(found []signals.Signal) bool { return slices.ContainsFunc(found, mine) },
	})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, mine)
	if i < 0 {
		t.Fatalf("no signal of %s about %+v, only %+v", by, o, found)
	}
	return found[i]
}

// Refusal is what bank's sidecar said of an attempt, which has to be this.
func (b *Bed) Refusal(t testing.TB, o attacker.Observation, layer, reason string) signals.Signal {
	t.Helper()
	s := b.Evidence(t, "bank", o)
	if !s.Refused || s.Layer != layer || s.Reason != reason || s.Upstream {
		t.Errorf("bank's sidecar says %+v, want a refusal at %s for %s", s, layer, reason)
	}
	return s
}

// Authority is that of the first range.
func (b *Bed) Authority(t testing.TB) identity.Authority {
	t.Helper()
	a, err := b.Mesh.Authority(b.Range())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Leaf is one that the fixture mints.
func (b *Bed) Leaf(t testing.TB, q identity.LeafRequest) *attacker.KeyPair {
	t.Helper()
	p, err := b.Authority(t).Leaf(b.limit(t), q)
	if err != nil {
		t.Fatal(err)
	}
	return &attacker.KeyPair{Chain: string(p.Chain), Key: string(p.Key)}
}

// Served says whether the application answered.
func Served(o attacker.Observation) bool { return o.Refusal == nil && o.Reply != nil }

// Says is what an attempt came to, in a line.
func Says(o attacker.Observation) string {
	switch {
	case o.Refusal != nil:
		return strings.TrimSpace(fmt.Sprintf("%s %d %s %s", o.Refusal.Layer, o.Refusal.Code, o.Refusal.Text, o.Refusal.By))
	case o.Reply != nil:
		return fmt.Sprintf("served %d", o.Reply.Status)
	}
	return "nothing"
}

// Wants fails unless there is an error that has all of these words.
func Wants(t testing.TB, err error, words ...string) {
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

// WantsNotReady is Wants for the error of a mesh of which a part does not work:
// that it did not settle says nothing of what it enforces.
func WantsNotReady(t testing.TB, err error, words ...string) {
	t.Helper()
	Wants(t, err, words...)
	if !meshes.IsNotReady(err) {
		t.Errorf("the error does not say that the mesh is not ready: %v", err)
	}
}
