package attacker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

// arrived waits until the target has n receipts.
func arrived(t testing.TB, a *app.App, n uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for a.Receipts(0, 1).Last < n {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("only %d of %d requests arrived", a.Receipts(0, 1).Last, n)
		}
	}
}

func stop(t testing.TB, p *attacker.RunningLoad) attacker.LoadResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := p.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestALoadIsServedOnKeptAndFreshConnectionsWithANonceEach(t *testing.T) {
	for _, proto := range everyHTTP {
		for _, secure := range []*attacker.TLS{nil, {}} {
			a, addr := target(t, app.HTTP)
			var dials atomic.Int64
			f := attacker.Foothold{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, network, address)
			}}
			p := attacker.StartLoad(t.Context(), f, attacker.Load{Rate: 200, Fresh: 25, Request: attacker.Request{
				Nonce: "p", Address: addr, Protocol: proto, TLS: secure, Method: "POST", Path: "/v1/charge/../x", Host: "bank.prod", Body: "b",
			}})
			arrived(t, a, 80)
			r := stop(t, p)
			if r.Lost != 0 || r.Served != r.Requests || r.FreshSent+r.KeptSent != r.Requests || r.P50 <= 0 || r.Max < r.P99 || r.P99 < r.P50 {
				t.Errorf("%s tls=%v: %d of %d served, p50 %s, p99 %s, max %s, first losses %+v", proto, secure != nil, r.Served, r.Requests, r.P50, r.P99, r.Max, r.Losses[:min(2, len(r.Losses))])
			}
			if want := r.Requests / 4; r.FreshSent != want || uint64(dials.Load()) < want || uint64(dials.Load()) >= r.Requests {
				t.Errorf("%d of %d fresh, %d dials", r.FreshSent, r.Requests, dials.Load())
			}
			nonces := map[string]bool{}
			for _, i := range a.Receipts(0, 0).Items {
				nonces[i.Nonce] = true
				if i.Path != "/v1/charge/../x" || i.Host != "bank.prod" || i.Method != "POST" {
					t.Fatalf("receipt %+v", i)
				}
			}
			// Stop has waited for the requests in flight: each left its receipt.
			if uint64(len(nonces)) != r.Requests || !nonces["p-0"] || !nonces[fmt.Sprintf("p-%d", r.Requests-1)] {
				t.Errorf("%d nonces for %d requests", len(nonces), r.Requests)
			}
		}
	}
}

func TestTwoLoadsDoNotSeeEachOther(t *testing.T) {
	a, addr := target(t, app.HTTP)
	f := attacker.Foothold{}
	var loads []*attacker.RunningLoad
	for _, name := range []string{"a", "b"} {
		loads = append(loads, attacker.StartLoad(t.Context(), f, attacker.Load{Rate: 200, Request: attacker.Request{Nonce: name, Address: addr}}))
	}
	arrived(t, a, 40)
	one, two := stop(t, loads[0]), stop(t, loads[1])
	count := map[string]uint64{}
	for _, i := range a.Receipts(0, 0).Items {
		count[i.Nonce[:1]]++
	}
	if count["a"] != one.Served || count["b"] != two.Served || one.Lost+two.Lost != 0 {
		t.Errorf("%v against %+v and %+v", count, one, two)
	}
}

func TestALossSaysWhenAndWhyAndNamesNoToken(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
	})
	for _, address := range []string{addr, "127.0.0.1:1"} {
		p := attacker.StartLoad(t.Context(), attacker.Foothold{}, attacker.Load{Rate: 1000, Limit: attacker.Duration(time.Second), Request: attacker.Request{
			Nonce: "p", Address: address, Path: "/?access_token=very-secret-token", Headers: map[string][]string{"authorization": {"Bearer very-secret-token"}},
		}})
		<-p.Done()
		r := stop(t, p)
		if r.Served != 0 || r.Lost != r.Requests || r.Requests < 100 || len(r.Losses) != 100 {
			t.Fatalf("%d served, %d lost, %d told", r.Served, r.Lost, len(r.Losses))
		}
		for _, l := range r.Losses {
			if l.Why == "" || strings.Contains(l.Why, "secret") || address == addr && l.Status != 503 {
				t.Fatalf("%+v", l)
			}
			// Due at its place in the schedule, not when it was sent.
			if due := r.Start.Add(time.Duration(l.Seq) * time.Millisecond); l.At.Sub(due).Abs() > 50*time.Millisecond {
				t.Errorf("loss %d at %s, due %s", l.Seq, l.At, due)
			}
		}
	}
}

func TestLatencyCountsFromTheScheduledTime(t *testing.T) {
	// One worker and a server that holds the first answer: the requests behind
	// it are late although each is answered at once.
	var once sync.Once
	release := make(chan struct{})
	held := make(chan struct{})
	addr := serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			once.Do(func() { close(held); <-release })
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
	p := attacker.StartLoad(t.Context(), attacker.Foothold{}, attacker.Load{Rate: 50, Workers: 1, Limit: attacker.Duration(500 * time.Millisecond), Request: attacker.Request{Nonce: "p", Address: addr}})
	<-held
	time.AfterFunc(300*time.Millisecond, func() { close(release) })
	<-p.Done()
	if r := stop(t, p); r.Max < 250*time.Millisecond || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
}

func TestALoadDoesNotHideThatARequestWasSentTwice(t *testing.T) {
	// The server takes the second request of a connection and closes without
	// an answer: net/http sends an idempotent one again, silently.
	addr := serve(t, func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
		_, _ = http.ReadRequest(r)
	})
	p := attacker.StartLoad(t.Context(), attacker.Foothold{}, attacker.Load{Rate: 200, Workers: 1, Limit: attacker.Duration(200 * time.Millisecond), Request: attacker.Request{Nonce: "p", Address: addr}})
	<-p.Done()
	if r := stop(t, p); r.Lost == 0 {
		t.Errorf("%+v", r)
	}
}

func TestALoadThatCannotBeMadeIsAnError(t *testing.T) {
	p := attacker.StartLoad(t.Context(), attacker.Foothold{}, attacker.Load{Fresh: 101, Request: attacker.Request{Address: "127.0.0.1:1"}})
	if _, err := p.Stop(t.Context()); err == nil {
		t.Error("no error")
	}
}

func BenchmarkLoad(b *testing.B) {
	_, addr := target(b, app.HTTP)
	for _, fresh := range []int{0, 20} {
		b.Run(fmt.Sprintf("fresh=%d", fresh), func(b *testing.B) {
			p := attacker.StartLoad(b.Context(), attacker.Foothold{}, attacker.Load{Workers: 16, Fresh: fresh, Limit: attacker.Duration(time.Second), Request: attacker.Request{Nonce: "b", Address: addr}})
			<-p.Done()
			r := stop(b, p)
			if r.Lost > 0 {
				b.Fatalf("%+v", r)
			}
			b.ReportMetric(float64(r.Requests)/r.End.Sub(r.Start).Seconds(), "requests/s")
			b.ReportMetric(float64(r.P50.Microseconds()), "p50-µs")
			b.ReportMetric(float64(r.P99.Microseconds()), "p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}
