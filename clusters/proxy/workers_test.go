package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// A proxy answers as an Envoy does whose workers take connections as choose
// says, and counts them.
type fakeEnvoy struct {
	*httptest.Server
	mu      sync.Mutex
	choose  func(active []int) int
	active  []int
	of      map[net.Conn]int
	asked   []int // of each worker
	counted int
}

func newProxy(t *testing.T, n int, choose func(active []int) int) *fakeEnvoy {
	t.Helper()
	p := &fakeEnvoy{choose: choose, active: make([]int, n), asked: make([]int, n), of: map[net.Conn]int{}}
	type key struct{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.URL.Path != proxy.FencePath {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		p.asked[p.of[r.Context().Value(key{}).(net.Conn)]]++
		w.WriteHeader(http.StatusNoContent)
	}))
	p.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	p.Config.ConnState = func(c net.Conn, s http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch s {
		case http.StateNew:
			p.of[c] = p.choose(p.active)
			p.active[p.of[c]]++
		case http.StateClosed:
			p.active[p.of[c]]--
		}
	}
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func (p *fakeEnvoy) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", p.Listener.Addr().String())
}

func (p *fakeEnvoy) numbers(context.Context) (map[string]uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counted++
	out := map[string]uint64{"listener.0.0.0.0_15006.worker_0.downstream_cx_active": 7}
	for i, n := range p.active {
		out[fmt.Sprintf("listener.meshbreach.worker_%d.downstream_cx_active", i)] = uint64(n)
	}
	return out, nil
}

// holds is how many connections it has.
func (p *fakeEnvoy) holds() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, active := range p.active {
		n += active
	}
	return n
}

func fewest(active []int) int { return slices.Index(active, slices.Min(active)) }

func passed(t *testing.T, a *proxy.Workers, p *fakeEnvoy) string {
	t.Helper()
	missing, err := a.Passed(t.Context(), p.numbers)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(missing, ", ")
}

func TestEveryWorkerIsAsked(t *testing.T) {
	p := newProxy(t, 3, fewest)
	a := proxy.NewWorkers(3, p.dial)
	defer a.Close()
	for range 2 {
		before := slices.Clone(p.asked)
		if missing := passed(t, a, p); missing != "" {
			t.Fatal(missing)
		}
		for i, n := range p.asked {
			if n == before[i] {
				t.Errorf("worker %d was not asked", i)
			}
		}
	}
}

func TestAWorkerThatNobodyAskedIsMissing(t *testing.T) {
	p := newProxy(t, 2, func([]int) int { return 1 })
	a := proxy.NewWorkers(2, p.dial)
	defer a.Close()
	const want = "worker 0 has 0 connections that ask it instead of 1, worker 1 has 2 connections that ask it instead of 1"
	if missing := passed(t, a, p); missing != want {
		t.Errorf("missing %q, want %q", missing, want)
	}
	p.mu.Lock()
	p.choose = fewest
	p.mu.Unlock()
	for t.Context().Err() == nil {
		if passed(t, a, p) == "" {
			return // the connections were made anew
		}
	}
}

// Over a way that closes late, such as one through a kubelet, the connections
// of before are still counted after new ones were made.
func TestConnectionsThatEndLateAreWaitedForAndNotAddedTo(t *testing.T) {
	p := newProxy(t, 2, fewest)
	var old []net.Conn
	for range 2 {
		c, err := p.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, c)
	}
	dialled := 0
	a := proxy.NewWorkers(2, func(ctx context.Context) (net.Conn, error) {
		dialled++
		return p.dial(ctx)
	})
	defer a.Close()
	for range 3 {
		if missing := passed(t, a, p); !strings.Contains(missing, "has 2 connections") {
			t.Fatalf("missing %q", missing)
		}
	}
	for _, c := range old {
		_ = c.Close()
	}
	for passed(t, a, p) != "" && t.Context().Err() == nil {
		// They end when the proxy has noticed.
	}
	if dialled != 2 {
		t.Errorf("%d connections were made to two workers", dialled)
	}
}

func TestMoreWorkersThanWereAskedForAreMissing(t *testing.T) {
	p := newProxy(t, 2, fewest)
	a := proxy.NewWorkers(1, p.dial)
	defer a.Close()
	if missing := passed(t, a, p); !strings.Contains(missing, "it has 2 workers instead of 1") {
		t.Errorf("missing %q", missing)
	}
}

// A connection that was made while workers were asked may be another worker's
// than the one that answered, so all are asked again.
func TestWhatWasCountedIsWhatWasAsked(t *testing.T) {
	p := newProxy(t, 2, fewest)
	a := proxy.NewWorkers(2, p.dial)
	defer a.Close()
	passed(t, a, p)
	p.CloseClientConnections()
	for p.holds() > 0 && t.Context().Err() == nil {
		// The proxy counts a connection until it has noticed.
	}
	p.mu.Lock()
	before := p.counted
	p.mu.Unlock()
	if missing := passed(t, a, p); missing != "" {
		t.Fatal(missing)
	}
	if n := p.counted - before; n < 2 {
		t.Errorf("counted %d times over connections that were new", n)
	}
}

func TestAnEnvoyThatDoesNotAnswerIsAnError(t *testing.T) {
	p := newProxy(t, 1, fewest)
	a := proxy.NewWorkers(1, p.dial)
	defer a.Close()
	passed(t, a, p)
	p.Close()
	if missing, err := a.Passed(t.Context(), p.numbers); err == nil {
		t.Errorf("no error, missing %v", missing)
	}
}
