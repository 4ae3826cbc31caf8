package istio

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// A windowCase is how the thief requests on which mesh.
type windowCase struct {
	name    string
	mesh    Mesh
	request attacker.Request
}

func windowCases() []windowCase {
	kept := attacker.Request{Connection: "kept"}
	line := attacker.Request{Connection: "kept", Protocol: "tcp"}
	return []windowCase{
		{"one worker, fresh", Mesh{Workers: 1}, attacker.Request{}},
		{"one worker, kept", Mesh{Workers: 1}, kept},
		{"two workers, fresh", Mesh{Workers: 2}, attacker.Request{}},
		{"two workers, kept", Mesh{Workers: 2}, kept},
		{"a drain of 1 s, raw TCP", Mesh{}, line},
		{"a drain of 5 s, raw TCP", Mesh{Drain: 5 * time.Second}, line},
	}
}

// BenchmarkWindow is how long an allowance outlives its end: the thief requests
// as fast as he can while it is taken away.
func BenchmarkWindow(b *testing.B) {
	for i, c := range windowCases() {
		b.Run(c.name, func(b *testing.B) {
			bed, err := newBed(c.mesh, release(b), fmt.Sprintf("window%d", i), 1)
			if err != nil {
				b.Fatal(err)
			}
			open := generous()
			open.Allow[1].From = []string{policy.Anyone}
			for b.Loop() {
				bed.Apply(b, open)
				w := bed.window(b, c.request)
				b.Logf("first denial %s, last leak %s, %d served after the change was asked for, %d of them after the first denial, settled %s",
					w.denied.Round(time.Millisecond), w.leaked.Round(time.Millisecond), w.served, w.late, w.settled.Round(time.Millisecond))
			}
			if err := bed.Undo.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// window is what the thief saw of a change, from the moment it was asked for.
type window struct {
	denied, leaked, settled time.Duration
	served, late            int
}

func (b *bed) window(t testing.TB, how attacker.Request) window {
	t.Helper()
	var seen []attacker.Observation
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			k := b.Charge(t, "thief")
			k.Connection, k.Protocol = how.Connection, how.Protocol
			if k.Protocol == "tcp" {
				k.Address = netip.AddrPortFrom(b.Workload(t, "bank").VIP, clusters.PortTCP).String()
			}
			seen = append(seen, b.Request(t, "thief", k))
		}
	}()
	ctx := limit(t)
	clusters.Pause(ctx, 200*time.Millisecond)
	rev, err := b.mesh.Apply(ctx, b.Range(), meshtest.Friendly())
	if err == nil {
		err = b.mesh.Settled(ctx, b.Range(), rev)
	}
	settled := time.Now()
	clusters.Pause(ctx, 300*time.Millisecond)
	close(stop)
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	w := window{settled: settled.Sub(rev.Asked)}
	for _, o := range seen {
		switch at := o.End.Sub(rev.Asked); {
		case at < 0:
		case o.Refusal != nil && w.denied == 0:
			w.denied = at
		case o.Refusal == nil:
			w.served++
			w.leaked = at
			if w.denied > 0 {
				w.late++
			}
			if o.Start.After(settled) {
				t.Errorf("served %s after the change had settled", o.Start.Sub(settled))
			}
		}
	}
	return w
}
