package envoy

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

func (b *bed) kept(t testing.TB, protocol, connection string) attacker.Request {
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
			b.Apply(t, generous())
			k := b.kept(t, protocol, meshtest.Nonce())
			if o := b.Request(t, "thief", k); !meshtest.Served(o) {
				t.Fatal(meshtest.Says(o))
			}
			took := b.Apply(t, meshtest.Friendly())
			t.Logf("settled after %s", took)
			expect(t, b.Request(t, "thief", k), want)
		})
	}
}

func TestWithNothingOpenARevocationSettlesWithoutADrain(t *testing.T) {
	b := shared(t)
	b.Apply(t, generous())
	before := b.generation(t, "bank")
	b.Apply(t, meshtest.Friendly())
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

func TestAGrantCutsNobodyOff(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Allow[0].Methods, p.Allow[0].Paths = nil, nil
	b.Apply(t, p)
	stream, line := b.kept(t, "http2-stream", meshtest.Nonce()), b.kept(t, "tcp", meshtest.Nonce())
	for range 2 {
		for _, k := range []attacker.Request{stream, line} {
			if o := b.Request(t, "web", k); !meshtest.Served(o) {
				t.Fatalf("%s: %s", k.Protocol, meshtest.Says(o))
			}
		}
		p.Allow = append(p.Allow, policy.Rule{From: []string{"thief"}, To: "bank"})
		b.Apply(t, p)
	}
}

func TestKeptStreamsLiveOnUntilAPolicyDoesNotKeepThem(t *testing.T) {
	b := shared(t)
	for _, protocol := range []string{"http2-stream", "tcp"} {
		t.Run(protocol, func(t *testing.T) {
			b.Apply(t, generous())
			k := b.kept(t, protocol, meshtest.Nonce())
			b.Request(t, "thief", k)
			p := meshtest.Friendly()
			p.Changes.KeepStreams = true
			b.Apply(t, p)
			if o := b.Request(t, "thief", k); !meshtest.Served(o) {
				t.Fatalf("it did not live on: %s", meshtest.Says(o))
			}
			b.Apply(t, meshtest.Friendly())
			if o := b.Request(t, "thief", k); meshtest.Served(o) {
				t.Error("it lives on under the policy that does not keep it")
			}
		})
	}
}

func TestAConnectionEndsWithTheTrustThatLetItIn(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.Trust.ExtraRoots = []string{"forged"}
	b.Apply(t, p)
	k := b.present(t, &identity.LeafRequest{Workload: b.Workload(t, "web"), Forged: true}, "")
	k.Connection = meshtest.Nonce()
	if o := b.Request(t, "outsider", k); !meshtest.Served(o) {
		t.Fatal(meshtest.Says(o))
	}
	b.Apply(t, meshtest.Friendly())
	expect(t, b.Request(t, "outsider", k), "tcp 0 closed")
	k.Connection = ""
	expect(t, b.Request(t, "outsider", k), "tls 48 unknown_ca")
}

func TestAPlaintextConnectionEndsWithThePermissiveMode(t *testing.T) {
	b := shared(t)
	p := meshtest.Friendly()
	p.MTLS, p.Allow[0].From = policy.Permissive, nil
	b.Apply(t, p)
	k := b.charge(t)
	k.Connection = meshtest.Nonce()
	if o := b.Request(t, "outsider", k); !meshtest.Served(o) {
		t.Fatal(meshtest.Says(o))
	}
	p.MTLS = policy.Strict
	b.Apply(t, p)
	expect(t, b.Request(t, "outsider", k), "tcp 0 closed")
}

func TestAWithheldChangeSettlesAndChangesNothing(t *testing.T) {
	b := shared(t)
	b.HoldsBack(t, generous(), meshtest.Friendly(), b.charge(t))
}

// Between the moment a change is asked for and the moment it has settled
// requests may be served; after it none.
func TestNoRequestIsServedAfterARevocationHasSettled(t *testing.T) {
	b := shared(t)
	var last, settled time.Duration
	for range 5 {
		b.Apply(t, generous())
		keep := b.kept(t, "http1", meshtest.Nonce())
		b.Request(t, "thief", keep)
		ctx := limit(t)
		rev, err := b.mesh.Apply(ctx, b.Range(), meshtest.Friendly())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- b.mesh.Settled(ctx, b.Range(), rev) }()
		for waiting := true; waiting; {
			for _, k := range []attacker.Request{keep, b.charge(t)} {
				if o := b.Request(t, "thief", k); meshtest.Served(o) {
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
			for _, k := range []attacker.Request{keep, b.charge(t)} {
				if o := b.Request(t, "thief", k); meshtest.Served(o) {
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
	b.Apply(t, meshtest.Friendly())
	load, err := b.Session(b.Range(), "web").StartLoad(ctx, attacker.Load{Rate: 100, Workers: 8, Fresh: 100, Request: b.charge(t)})
	if err != nil {
		t.Fatal(err)
	}
	if o := b.Request(t, "web", b.kept(t, "tcp", meshtest.Nonce())); !meshtest.Served(o) {
		t.Fatal(meshtest.Says(o))
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
	b.Apply(t, meshtest.Friendly())
	const of = `^listener\.0\.0\.0\.0_15006\.worker_\d+\.downstream_cx_total$`
	count := func() map[string]uint64 {
		n, err := b.sidecar(t, "bank").admin.main.Stats(limit(t), of)
		if err != nil {
			t.Fatal(err)
		}
		return n.Numbers
	}
	before := count()
	for range 64 {
		b.Request(t, "thief", b.charge(t))
	}
	after := count()
	if len(after) != proxy.DefaultWorkers {
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
	b.Apply(t, generous())
	k := b.kept(t, "http2-stream", meshtest.Nonce())
	o := b.Request(t, "thief", k)
	b.Apply(t, meshtest.Friendly())
	s := b.Evidence(t, "bank", o)
	if !s.Refused || s.Reason != "downstream_local_disconnect(filter_chain_is_being_removed)" {
		t.Errorf("bank's sidecar says %+v", s)
	}
}
