package meshtest

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// What every mesh has to hold, whatever it is made of.

// Hung makes a workload's proxy hang while something is done.
func (b *Bed) Hung(t testing.TB, workload string, while func()) {
	t.Helper()
	w := b.Workload(t, workload)
	b.Fault(t, w, clusters.FaultHang)
	while()
	b.Fault(t, w, clusters.FaultResume)
}

// Fault does something bad to a workload's proxy.
func (b *Bed) Fault(t testing.TB, w clusters.Workload, f clusters.Fault) {
	t.Helper()
	h, err := clusters.Able[clusters.FaultHost](b.Cluster, string(f)+" a proxy")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Fault(t.Context(), w, clusters.PartProxy, f); err != nil {
		t.Fatal(err)
	}
}

// TakesNoOldRevision fails unless settling a revision that another policy has
// replaced is an error, and so is one that never was, which says so.
func (b *Bed) TakesNoOldRevision(t testing.TB, before, after policy.Policy, never string) {
	t.Helper()
	ctx := b.limit(t)
	old, err := b.Mesh.Apply(ctx, b.Range(), before)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(t, after)
	Wants(t, b.Mesh.Settled(ctx, b.Range(), old), old.ID, "replaced")
	Wants(t, b.Mesh.Settled(ctx, b.Range(), clusters.Revision{ID: "x"}), never)
}

// TakesNothingUnsaid fails unless a policy that names nobody is an error, in
// whatever it names nobody.
func (b *Bed) TakesNothingUnsaid(t testing.TB) {
	t.Helper()
	for _, p := range []policy.Policy{
		{Allow: []policy.Rule{{From: []string{"nobody"}, To: "bank"}}},
		{Allow: []policy.Rule{{To: "bank"}}, Tokens: &policy.Tokens{Issuers: []string{"nobody"}}},
		{Trust: policy.Trust{ExtraRoots: []string{"nobody"}}},
	} {
		_, err := b.Mesh.Apply(b.limit(t), b.Range(), p)
		Wants(t, err, "nobody")
	}
}

// HoldsBack fails unless a stricter policy that is withheld changes nothing for
// the thief, and the same one does that is not.
func (b *Bed) HoldsBack(t testing.TB, loose, strict policy.Policy, k attacker.Request) {
	t.Helper()
	b.Apply(t, loose)
	p := strict.Clone()
	p.Changes.Withhold = true
	b.Apply(t, p)
	if o := b.Request(t, "thief", k); !Served(o) {
		t.Errorf("the withheld change took effect: %s", Says(o))
	}
	b.Apply(t, strict)
	if o := b.Request(t, "thief", k); Served(o) {
		t.Error("the change after the withheld one took no effect")
	}
}

// A Loss is what a control plane that accepts a policy loses of it on its way to
// the proxies.
type Loss struct {
	Of    string // "mutual TLS", "rules" or "tokens"
	Leave func(policy.Policy) policy.Policy
}

// Losses are all there are, one at a time.
func Losses() []Loss {
	return []Loss{
		{"mutual TLS", func(p policy.Policy) policy.Policy {
			p.MTLS = policy.Permissive
			return p
		}},
		{"rules", func(p policy.Policy) policy.Policy {
			p.Open, p.Allow = true, nil
			return p
		}},
		{"tokens", func(p policy.Policy) policy.Policy {
			p = p.Clone()
			p.Tokens = nil
			for i := range p.Allow {
				p.Allow[i].Token = nil
			}
			return p
		}},
	}
}

// NeverSettles fails unless settling a policy ends with its context, with an
// error that names what is pending at the bank's sidecar.
func (b *Bed) NeverSettles(t testing.TB, p policy.Policy, pending string) {
	t.Helper()
	rev, err := b.Mesh.Apply(b.limit(t), b.Range(), p)
	if err != nil {
		t.Fatal(err)
	}
	const within = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	err = b.Mesh.Settled(ctx, b.Range(), rev)
	if took := time.Since(began); took > 2*within {
		t.Errorf("it took %s", took)
	}
	Wants(t, err, "the sidecar of bank", pending, "deadline exceeded")
	if meshes.IsNotReady(err) {
		t.Errorf("every proxy is ready, and the error says that one is not: %v", err)
	}
}

// AdmitsWhatThePolicyAdmits holds the mesh to the evaluator that the neutral
// policy has.
func (b *Bed) AdmitsWhatThePolicyAdmits(t testing.TB, all map[string]policy.Policy) {
	t.Helper()
	for name, p := range all {
		b.Apply(t, p)
		for _, from := range []string{"web", "staging/web", "outsider"} {
			for _, path := range []string{"/v1/charge", "/v1/refund"} {
				for _, port := range []int{clusters.PortHTTP, clusters.PortAdmin} {
					k, w := b.Charge(t, from), b.Workload(t, from)
					k.Path = path
					k.Address = netip.AddrPortFrom(b.Workload(t, "bank").Reached(w), uint16(port)).String()
					q := policy.Request{To: "bank", Method: "POST", Path: path, Port: port, Withmesh: w.Meshed, Account: w.Account}
					if w.Meshed {
						q.From = from
					}
					want, o := p.Admits(b.Range(), q), b.Request(t, from, k)
					if (Says(o) == "served 200") != want {
						t.Errorf("%s: %s to %s on %d: the policy says %v, the mesh %s", name, from, path, port, want, Says(o))
					}
				}
			}
		}
	}
}

// Friendly lets web charge the bank and nothing else.
func Friendly() policy.Policy {
	return policy.Policy{
		MTLS:      policy.Strict,
		Plaintext: []int{clusters.PortHealth},
		Allow: []policy.Rule{
			{From: []string{"web"}, To: "bank", Methods: []string{"POST"}, Paths: []string{"/v1/charge"}},
			{From: []string{"web"}, To: "bank", Ports: []int{clusters.PortTCP}},
		},
	}
}

// WithThief is the policy, and the thief may do everything at the bank.
func WithThief(p policy.Policy) policy.Policy {
	p.Allow = append(slices.Clip(p.Allow), policy.Rule{From: []string{"thief"}, To: "bank"})
	return p
}

// Policies are the ways in which a rule can be wide or narrow.
func Policies() map[string]policy.Policy {
	with := func(change func(*policy.Policy, *policy.Rule)) policy.Policy {
		p, r := policy.Policy{}, policy.Rule{From: []string{"web"}, To: "bank"}
		change(&p, &r)
		p.Allow = append(p.Allow, r)
		return p
	}
	return map[string]policy.Policy{
		"nothing":       {},
		"open":          {Open: true},
		"rule":          with(func(*policy.Policy, *policy.Rule) {}),
		"open and rule": with(func(p *policy.Policy, _ *policy.Rule) { p.Open = true }),
		"path":          with(func(_ *policy.Policy, r *policy.Rule) { r.Paths = []string{"/v1/charge"} }),
		"port":          with(func(_ *policy.Policy, r *policy.Rule) { r.Ports = []int{clusters.PortHTTP} }),
		"account only":  with(func(_ *policy.Policy, r *policy.Rule) { r.AccountOnly = true }),
		"any principal": with(func(_ *policy.Policy, r *policy.Rule) { r.From = []string{policy.Anyone} }),
		"anybody":       with(func(_ *policy.Policy, r *policy.Rule) { r.From = nil }),
		"permissive":    with(func(p *policy.Policy, _ *policy.Rule) { p.MTLS = policy.Permissive }),
		"permissive anybody": with(func(p *policy.Policy, r *policy.Rule) {
			p.MTLS, r.From = policy.Permissive, nil
		}),
		"permissive any principal": with(func(p *policy.Policy, r *policy.Rule) {
			p.MTLS, r.From = policy.Permissive, []string{policy.Anyone}
		}),
		"plaintext port": with(func(p *policy.Policy, _ *policy.Rule) { p.Plaintext = []int{clusters.PortHTTP} }),
	}
}
