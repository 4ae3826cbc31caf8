package envoy

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/workers"
)

// generous lets the thief do everything at the bank.
func generous() clusters.Policy {
	p := friendly()
	p.Allow = append(p.Allow, clusters.Rule{From: []string{"thief"}, To: "bank"})
	return p
}

func (b *bed) kept(t testing.TB, protocol, connection string) attacker.Knock {
	if protocol == "tcp" {
		return b.line(t, clusters.PortTCP, connection)
	}
	k := b.charge(t)
	k.Protocol, k.Connection = protocol, connection
	return k
}

func TestWhatIsOpenIsRefusedOnceARevocationHasSettled(t *testing.T) {
	b := shared(t)
	for protocol, want := range map[string]string{
		"http1":        "http 403 RBAC: access denied envoy@bank",
		"http2":        "http 403 RBAC: access denied envoy@bank",
		"http2-stream": "tcp 2 reset: RST_STREAM INTERNAL_ERROR",
		"tcp":          "tcp 0 closed",
	} {
		t.Run(protocol, func(t *testing.T) {
			b.apply(t, generous())
			k := b.kept(t, protocol, nonce())
			if o := b.knock(t, "thief", k); !served(o) {
				t.Fatal(says(o))
			}
			took := b.apply(t, friendly())
			t.Logf("settled after %s", took)
			expect(t, b.knock(t, "thief", k), want)
		})
	}
}

func TestWithNothingOpenARevocationSettlesWithoutADrain(t *testing.T) {
	b := shared(t)
	b.apply(t, generous())
	before := b.generation(t, "bank")
	b.apply(t, friendly())
	if after := b.generation(t, "bank"); after != before {
		t.Errorf("the chains were replaced: generation %d, before %d", after, before)
	}
}

func (b *bed) generation(t testing.TB, name string) int {
	t.Helper()
	s := b.sidecar(t, name)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation
}

func (b *bed) sidecar(t testing.TB, name string) *sidecar {
	t.Helper()
	for _, s := range b.mesh.stages[b.r().Name].sidecars {
		if s.workload.Name == name {
			return s
		}
	}
	t.Fatalf("%s has no sidecar", name)
	return nil
}

func TestAGrantCutsNobodyOff(t *testing.T) {
	b := shared(t)
	p := friendly()
	p.Allow[0].Methods, p.Allow[0].Paths = nil, nil
	b.apply(t, p)
	stream, line := b.kept(t, "http2-stream", nonce()), b.kept(t, "tcp", nonce())
	for range 2 {
		for _, k := range []attacker.Knock{stream, line} {
			if o := b.knock(t, "web", k); !served(o) {
				t.Fatalf("%s: %s", k.Protocol, says(o))
			}
		}
		p.Allow = append(p.Allow, clusters.Rule{From: []string{"thief"}, To: "bank"})
		b.apply(t, p)
	}
}

func TestKeptStreamsLiveOnUntilAPolicyDoesNotKeepThem(t *testing.T) {
	b := shared(t)
	for _, protocol := range []string{"http2-stream", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			b.apply(t, generous())
			k := b.kept(t, protocol, nonce())
			b.knock(t, "thief", k)
			p := friendly()
			p.Changes.KeepStreams = true
			b.apply(t, p)
			if o := b.knock(t, "thief", k); !served(o) {
				t.Fatalf("it did not live on: %s", says(o))
			}
			b.apply(t, friendly())
			if o := b.knock(t, "thief", k); served(o) {
				t.Error("it lives on under the policy that does not keep it")
			}
		})
	}
}

func TestAConnectionEndsWithTheTrustThatLetItIn(t *testing.T) {
	b := shared(t)
	p := friendly()
	p.Trust.ExtraRoots = []string{"forged"}
	b.apply(t, p)
	k := b.present(t, &clusters.LeafRequest{Workload: b.workload(t, "web"), Forged: true}, "")
	k.Connection = nonce()
	if o := b.knock(t, "outsider", k); !served(o) {
		t.Fatal(says(o))
	}
	b.apply(t, friendly())
	expect(t, b.knock(t, "outsider", k), "tcp 0 closed")
	k.Connection = ""
	expect(t, b.knock(t, "outsider", k), "tls 48 unknown_ca")
}

func TestAPlaintextConnectionEndsWithThePermissiveMode(t *testing.T) {
	b := shared(t)
	p := friendly()
	p.MTLS, p.Allow[0].From = clusters.Permissive, nil
	b.apply(t, p)
	k := b.charge(t)
	k.Connection = nonce()
	if o := b.knock(t, "outsider", k); !served(o) {
		t.Fatal(says(o))
	}
	p.MTLS = clusters.Strict
	b.apply(t, p)
	expect(t, b.knock(t, "outsider", k), "tcp 0 closed")
}

func TestAWithheldChangeSettlesAndChangesNothing(t *testing.T) {
	b := shared(t)
	b.apply(t, generous())
	p := friendly()
	p.Changes.Withhold = true
	b.apply(t, p)
	if o := b.knock(t, "thief", b.charge(t)); !served(o) {
		t.Errorf("the withheld change took effect: %s", says(o))
	}
	b.apply(t, friendly())
	if o := b.knock(t, "thief", b.charge(t)); served(o) {
		t.Error("the change after the withheld one took no effect")
	}
}

// Between the moment a change is asked for and the moment it has settled
// requests may be served; after it none.
func TestNoRequestIsServedAfterARevocationHasSettled(t *testing.T) {
	b := shared(t)
	var last, settled time.Duration
	for range 5 {
		b.apply(t, generous())
		keep := b.kept(t, "http1", nonce())
		b.knock(t, "thief", keep)
		ctx := limit(t)
		rev, err := b.mesh.Apply(ctx, b.r(), friendly())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- b.mesh.Settled(ctx, b.r(), rev) }()
		for waiting := true; waiting; {
			for _, k := range []attacker.Knock{keep, b.charge(t)} {
				if o := b.knock(t, "thief", k); served(o) {
					last = max(last, o.End.Sub(rev.Asked))
				}
			}
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				settled, waiting = max(settled, time.Since(rev.Asked)), false
			default:
			}
		}
		for range 5 {
			for _, k := range []attacker.Knock{keep, b.charge(t)} {
				if o := b.knock(t, "thief", k); served(o) {
					t.Fatal("served after the change had settled")
				}
			}
		}
	}
	t.Logf("last request served %s after the change was asked for; settled after %s at most", last, settled)
}

// What is open less what is HTTP was one too small in 39 of 1,100 looks, and a
// connection that should have ended lived on.
func TestAnOpaqueConnectionIsCountedWhileRequestsComeAndGo(t *testing.T) {
	b := shared(t)
	ctx := limit(t)
	b.apply(t, friendly())
	load, err := b.sessions[b.r().Name+"/web"].StartPulse(ctx, attacker.Pulse{Rate: 100, Workers: 8, Fresh: 100, Knock: b.charge(t)})
	if err != nil {
		t.Fatal(err)
	}
	if o := b.knock(t, "web", b.kept(t, "tcp", nonce())); !served(o) {
		t.Fatal(says(o))
	}
	for i := range 500 {
		o, _, err := b.sidecar(t, "bank").open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if o.tcp < 1 {
			t.Fatalf("look %d sees no opaque connection: %+v", i, o)
		}
	}
	if _, err := load.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// What is said of all workers is only seen when all are met.
func TestFreshRequestsMeetEveryWorker(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	const of = `^listener\.0\.0\.0\.0_15006\.worker_\d+\.downstream_cx_total$`
	count := func() map[string]int {
		n, err := b.sidecar(t, "bank").admin.stats(limit(t), of)
		if err != nil {
			t.Fatal(err)
		}
		return n.numbers
	}
	before := count()
	for range 64 {
		b.knock(t, "thief", b.charge(t))
	}
	after := count()
	if len(after) != workers.Default {
		t.Fatalf("workers: %v", after)
	}
	for name, n := range after {
		if n == before[name] {
			t.Errorf("%s stayed at %d", name, n)
		}
	}
}

func TestAStreamThatWasCutOffIsToldByTheSidecar(t *testing.T) {
	b := shared(t)
	b.apply(t, generous())
	k := b.kept(t, "http2-stream", nonce())
	o := b.knock(t, "thief", k)
	b.apply(t, friendly())
	s := b.evidence(t, "bank", o)
	if !s.Refused || s.Reason != "downstream_local_disconnect(filter_chain_is_being_removed)" {
		t.Errorf("bank's sidecar says %+v", s)
	}
}
