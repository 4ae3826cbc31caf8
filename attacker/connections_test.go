package attacker_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

var everyProtocol = []string{attacker.ProtocolHTTP1, attacker.ProtocolHTTP2, attacker.ProtocolStream, attacker.ProtocolTCP}

func listenFor(proto string) string {
	if proto == attacker.ProtocolTCP {
		return app.TCP
	}
	return app.HTTP
}

func TestAKeptConnectionCarriesManyRequests(t *testing.T) {
	for _, proto := range everyProtocol {
		a, addr := target(t, listenFor(proto))
		f := attacker.Foothold{Kept: attacker.NewConnections()}
		k := attacker.Request{Address: addr, Protocol: proto, Connection: "one", Timeout: attacker.Duration(time.Second)}
		var first attacker.Observation
		for i := range 5 {
			k.Nonce = fmt.Sprintf("n-%d", i)
			o := f.Request(t.Context(), k)
			wantServed(t, o, a)
			if i == 0 {
				first = o
			}
			if o.Connection != "one" || o.Local != first.Local {
				t.Errorf("%s: request %d went over %s %v, the first over %v", proto, i, o.Connection, o.Local, first.Local)
			}
		}
		fresh := k
		fresh.Connection, fresh.Nonce = "", "fresh"
		if o := f.Request(t.Context(), fresh); o.Connection != attacker.Fresh || o.Local == first.Local {
			t.Errorf("%s: a fresh request shared the connection: %+v", proto, o)
		}
		items := a.Receipts(0, 0).Items
		if len(items) != 6 || items[4].Nonce != "n-4" || items[4].Seq != 5 {
			t.Errorf("%s: receipts %+v", proto, items)
		}
		f.Kept.CloseAll()
	}
}

func TestAKeptConnectionThatThePeerClosedIsReportedOnceAndThenForgotten(t *testing.T) {
	for _, proto := range everyProtocol {
		for _, secure := range []*attacker.TLS{nil, {}} {
			t.Run(fmt.Sprintf("%s tls=%v", proto, secure != nil), func(t *testing.T) {
				first, err := app.Start([]attacker.Listen{{Protocol: listenFor(proto)}}, app.Options{})
				if err != nil {
					t.Fatal(err)
				}
				port := first.Ports()[0]
				var dials int
				f := attacker.Foothold{Kept: attacker.NewConnections(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					dials++
					return new(net.Dialer).DialContext(ctx, network, address)
				}}
				k := attacker.Request{Nonce: "a", Address: fmt.Sprintf("127.0.0.1:%d", port), Protocol: proto, Connection: "one", TLS: secure}
				wantServed(t, f.Request(t.Context(), k), first)
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
				second, err := app.Start([]attacker.Listen{{Port: port, Protocol: listenFor(proto)}}, app.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer second.Close()
				k.Nonce = "b"
				wantRefusal(t, f.Request(t.Context(), k), attacker.LayerTCP, "closed")
				if dials != 1 || second.Receipts(0, 0).Last != 0 {
					t.Errorf("the request dialled again: %d dials", dials)
				}
				k.Nonce = "c"
				wantServed(t, f.Request(t.Context(), k), second)
			})
		}
	}
}

func TestClosingAConnectionEndsTheRequestOnIt(t *testing.T) {
	reached := make(chan struct{})
	addr := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		close(reached)
	})
	f := attacker.Foothold{Kept: attacker.NewConnections()}
	seen := make(chan attacker.Observation)
	go func() {
		seen <- f.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, Connection: "one", Timeout: attacker.Duration(time.Minute)})
	}()
	<-reached
	f.Kept.Close("one")
	wantRefusal(t, <-seen, attacker.LayerTCP, "closed")
}

func TestARequestDoesNotWaitForABusyConnectionBeyondItsDeadline(t *testing.T) {
	addr := serve(t, func(net.Conn) {})
	f := attacker.Foothold{Kept: attacker.NewConnections()}
	k := attacker.Request{Nonce: "n", Address: addr, Connection: "one", Timeout: attacker.Duration(time.Minute)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	dialled := make(chan struct{})
	g := f
	g.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		close(dialled)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	go func() {
		defer close(done)
		g.Request(ctx, k)
	}()
	<-dialled
	k.Timeout = attacker.Duration(30 * time.Millisecond)
	wantRefusal(t, f.Request(t.Context(), k), attacker.LayerSocket, "busy")
	cancel()
	<-done
}
