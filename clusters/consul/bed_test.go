package consul

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
)

// friendly lets web charge the bank and thief read its rates, and no more.
func friendly() clusters.Policy {
	return clusters.Policy{
		MTLS:      clusters.Strict,
		Plaintext: []int{clusters.PortHealth},
		Allow: []clusters.Rule{
			{From: []string{"web"}, To: "bank", Methods: []string{"POST"}, Paths: []string{"/v1/charge"}, Ports: []int{clusters.PortHTTP}},
			{From: []string{"web", "thief"}, To: "bank", Methods: []string{"GET"}, Paths: []string{"/v1/rates"}, Ports: []int{clusters.PortHTTP}},
			{From: []string{"web"}, To: "bank", Ports: []int{clusters.PortTCP}},
		},
	}
}

// generous lets the thief do everything at the bank.
func generous() clusters.Policy {
	p := friendly()
	p.Allow = append(p.Allow, clusters.Rule{From: []string{"thief"}, To: "bank"})
	return p
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (b *bed) r() clusters.Range { return b.Ranges[0] }

func (b *bed) apply(t testing.TB, p clusters.Policy) time.Duration {
	t.Helper()
	ctx := limit(t)
	rev, err := b.mesh.Apply(ctx, b.r(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.mesh.Settled(ctx, b.r(), rev); err != nil {
		t.Fatal(err)
	}
	return time.Since(rev.Asked)
}

func (b *bed) workload(t testing.TB, name string) clusters.Workload {
	t.Helper()
	w, err := b.r().Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var nonces atomic.Int64

func nonce() string { return "n" + strconv.FormatInt(nonces.Add(1), 10) }

// charge is the honest request to the bank's service, as a meshed caller makes it.
func (b *bed) charge(t testing.TB) attacker.Knock {
	return b.chargeAt(b.workload(t, "bank").VIP)
}

func (b *bed) chargeAt(bank netip.Addr) attacker.Knock {
	return attacker.Knock{
		Address: netip.AddrPortFrom(bank, clusters.PortHTTP).String(),
		Method:  "POST", Path: "/v1/charge", Host: "bank.prod",
	}
}

// direct is the same request to the bank's own address, over TLS with a leaf.
func (b *bed) direct(t testing.TB, leaf *attacker.KeyPair) attacker.Knock {
	k := b.chargeAt(b.workload(t, "bank").Address)
	k.TLS = &attacker.TLS{Leaf: leaf}
	return k
}

func (b *bed) knock(t testing.TB, from string, k attacker.Knock) attacker.Observation {
	t.Helper()
	if k.Nonce == "" {
		k.Nonce = nonce()
	}
	o, err := b.sessions[b.r().Name+"/"+from].Knock(limit(t), k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// evidence is what a sidecar said of an attempt: bank's as it came in, anybody
// else's as it went out.
func (b *bed) evidence(t testing.TB, by string, o attacker.Observation) clusters.Signal {
	t.Helper()
	ctx, cancel := context.WithTimeout(limit(t), 2*time.Second)
	defer cancel()
	mine := func(s clusters.Signal) bool { return s.Workload == by && s.Inbound == (by == "bank") }
	found, err := b.mesh.Evidence(ctx, b.r(), clusters.Query{
		Nonces: []string{o.Nonce}, Sources: []netip.AddrPort{o.Local}, Since: o.Start,
		Want: func(found []clusters.Signal) bool { return slices.ContainsFunc(found, mine) },
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

func served(o attacker.Observation) bool { return o.Refusal == nil && o.Reply != nil }

func says(o attacker.Observation) string {
	switch {
	case o.Refusal != nil:
		return strings.TrimSpace(fmt.Sprintf("%s %d %s %s", o.Refusal.Layer, o.Refusal.Code, o.Refusal.Text, o.Refusal.By))
	case o.Reply != nil:
		return fmt.Sprintf("served %d", o.Reply.Status)
	}
	return "nothing"
}

func (b *bed) leaf(t testing.TB, q clusters.LeafRequest) *attacker.KeyPair {
	t.Helper()
	p, err := b.mesh.Authority(b.r()).Leaf(limit(t), q)
	if err != nil {
		t.Fatal(err)
	}
	return &attacker.KeyPair{Chain: string(p.Chain), Key: string(p.Key)}
}

func (b *bed) refusal(t testing.TB, o attacker.Observation, layer, reason string) clusters.Signal {
	t.Helper()
	s := b.evidence(t, "bank", o)
	if !s.Refused || s.Layer != layer || s.Reason != reason || s.Upstream {
		t.Errorf("bank's sidecar says %+v, want a refusal at %s for %s", s, layer, reason)
	}
	return s
}
