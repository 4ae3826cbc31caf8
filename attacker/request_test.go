package attacker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

// target starts the permissive application on one port.
func target(t testing.TB, protocol string) (*app.App, string) {
	t.Helper()
	a, err := app.Start([]attacker.Listen{{Protocol: protocol}}, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, fmt.Sprintf("127.0.0.1:%d", a.Ports()[0])
}

// serve runs each on every connection to a new port.
func serve(t testing.TB, each func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go each(c)
		}
	}()
	return l.Addr().String()
}

func wantRefusal(t *testing.T, o attacker.Observation, layer attacker.Layer, text string) {
	t.Helper()
	if o.Refusal == nil || o.Refusal.Layer != layer || o.Refusal.Text != text {
		t.Errorf("refusal %+v (reply %+v), want layer %s, text %q", o.Refusal, o.Reply, layer, text)
	}
}

func wantServed(t *testing.T, o attacker.Observation, a *app.App) {
	t.Helper()
	if o.Refusal != nil || o.Reply == nil || o.Reply.By != a.Epoch() || o.Seen != attacker.Replied {
		t.Fatalf("not served by the target: %+v, refusal %+v", o, o.Refusal)
	}
}

var everyHTTP = []string{attacker.ProtocolHTTP1, attacker.ProtocolHTTP2}

func TestEveryProtocolIsServedAndLeavesAReceipt(t *testing.T) {
	for _, proto := range []string{"", "http1", "http2", "http2-stream", "tcp"} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s tls=%v", proto, secure), func(t *testing.T) {
				listen := app.HTTP
				if proto == "tcp" {
					listen = app.TCP
				}
				a, addr := target(t, listen)
				k := attacker.Request{Nonce: "n-1", Address: addr, Protocol: proto, Method: "POST", Path: "/v1/charge", Host: "bank.prod", Body: ""}
				if secure {
					pair, _ := keyPair(t, "spiffe://r1/ns/prod/sa/web", "spiffe://r1/ns/prod/sa/bank")
					k.TLS = &attacker.TLS{Leaf: &pair}
				}
				o := attacker.Foothold{}.Request(t.Context(), k)
				wantServed(t, o, a)
				if secure && !slices.Equal(o.Peer.DNS, []string{"target.meshbreach.invalid"}) {
					t.Errorf("peer %+v", o.Peer)
				}
				r := a.Receipts(0, 0)
				if len(r.Items) != 1 {
					t.Fatalf("receipts %+v", r.Items)
				}
				got := r.Items[0]
				if got.Nonce != "n-1" || got.Remote != o.Local || got.TLS != secure {
					t.Errorf("receipt %+v, observation %+v", got, o)
				}
				if secure && len(got.Identity) != 2 {
					t.Errorf("identities %v", got.Identity)
				}
				if proto != "tcp" && (got.Method != "POST" || got.Path != "/v1/charge" || got.Host != "bank.prod") {
					t.Errorf("receipt %+v", got)
				}
			})
		}
	}
}

func TestARequestGoesOutAsItStands(t *testing.T) {
	for _, proto := range everyHTTP {
		for _, path := range []string{"/v1/charge/../admin", "//admin", "/a/%2e%2e/admin", "/a;b=c", "/admin#x", "/admin%00", "/?q=1"} {
			t.Run(proto+path, func(t *testing.T) {
				a, addr := target(t, app.HTTP)
				o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, Protocol: proto, Method: "post", Path: path})
				wantServed(t, o, a)
				if r := a.Receipts(0, 0).Items[0]; r.Method != "post" || r.Path != path {
					t.Errorf("arrived as %s %s", r.Method, r.Path)
				}
			})
		}
	}
}

func TestHeadersGoOutDoubledAndInTheirOwnCase(t *testing.T) {
	got := make(chan string, 1)
	addr := serve(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		got <- string(b[:n])
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	k := attacker.Request{Nonce: "n", Address: addr, Host: "h", Headers: map[string][]string{"X-Role": {"a", "b"}, "x-role": {"c"}}}
	o := attacker.Foothold{}.Request(t.Context(), k)
	want := "GET / HTTP/1.1\r\nhost: h\r\nx-meshbreach-nonce: n\r\nX-Role: a\r\nX-Role: b\r\nx-role: c\r\n\r\n"
	if text := <-got; text != want || o.Reply == nil || o.Reply.Status != 204 {
		t.Errorf("sent %q, saw %+v", text, o)
	}
}

func TestARefusalByHTTPNamesCodeTextAndServer(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nserver: envoy\r\ncontent-length: 19\r\n\r\nRBAC: access denied")
	})
	o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr})
	wantRefusal(t, o, attacker.LayerHTTP, "RBAC: access denied")
	if o.Refusal.Code != 403 || o.Refusal.By != "envoy" {
		t.Errorf("%+v", o.Refusal)
	}
}

func TestAServerThatEchoesATokenDoesNotBringItIntoTheObservation(t *testing.T) {
	token := strings.Repeat("secret-token.", 40)
	for _, status := range []string{"200 OK", "401 Unauthorized"} {
		addr := serve(t, func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s", status, len(token), token)
		})
		o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, Headers: map[string][]string{"authorization": {"Bearer " + token}}})
		if text := fmt.Sprintf("%+v %+v %+v", o, o.Reply, o.Refusal); strings.Contains(text, "secret-token") || !strings.Contains(text, "[secret]") {
			t.Error(text)
		}
	}
}

func TestAClosedPortIsRefusedByTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: l.Addr().String()})
	wantRefusal(t, o, attacker.LayerTCP, "refused")
	if o.Seen != attacker.Nowhere {
		t.Error(o.Seen)
	}
}

func TestAResetAndAnEndAreRefusedByTCP(t *testing.T) {
	for _, proto := range []string{"http1", "http2", "tcp", "http2-stream"} {
		reset := serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		})
		o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: reset, Protocol: proto})
		wantRefusal(t, o, attacker.LayerTCP, "reset")
		end := serve(t, func(c net.Conn) {
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
		})
		o = attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: end, Protocol: proto})
		wantRefusal(t, o, attacker.LayerTCP, "closed")
		if o.Seen != attacker.Transport {
			t.Error(o.Seen)
		}
	}
}

func TestAHungServerIsADropAndDoesNotHoldUpTheRequest(t *testing.T) {
	addr := serve(t, func(net.Conn) {})
	for _, proto := range []string{"http1", "http2", "tcp", "http2-stream"} {
		for _, secure := range []*attacker.TLS{nil, {}} {
			for _, name := range []string{"", "kept"} {
				f := attacker.Foothold{Kept: attacker.NewConnections()}
				k := attacker.Request{Nonce: "n", Address: addr, Protocol: proto, TLS: secure, Connection: name, Timeout: attacker.Duration(50 * time.Millisecond)}
				o := f.Request(t.Context(), k)
				wantRefusal(t, o, attacker.LayerDrop, "timeout")
				if took := o.End.Sub(o.Start); took > time.Second {
					t.Errorf("%s took %s", proto, took)
				}
			}
		}
	}
}

func TestARequestThatItsCallerGaveUpIsNoDrop(t *testing.T) {
	addr := serve(t, func(net.Conn) {})
	for _, proto := range []string{"http1", "http2", "tcp", "http2-stream"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		o := attacker.Foothold{}.Request(ctx, attacker.Request{Nonce: "n", Address: addr, Protocol: proto})
		cancel()
		wantRefusal(t, o, attacker.LayerSocket, "stopped")
	}
}

func TestNoSocketIsNotARefusalByTheTarget(t *testing.T) {
	f := attacker.Foothold{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: syscall.EMFILE}
	}}
	wantRefusal(t, f.Request(t.Context(), attacker.Request{Nonce: "n", Address: "127.0.0.1:1"}), attacker.LayerSocket, "too many open files")
	f.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("surprise") }
	wantRefusal(t, f.Request(t.Context(), attacker.Request{Nonce: "n", Address: "127.0.0.1:1"}), attacker.LayerSocket, "surprise")
	f.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "x"}
	}
	wantRefusal(t, f.Request(t.Context(), attacker.Request{Nonce: "n", Address: "x:1"}), attacker.LayerDNS, "no such host")
	wantRefusal(t, attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: "x:1", Connection: "k"}), attacker.LayerSocket, "this foothold keeps no connections")
}

func TestAnswersInAnotherProtocolAreRefusedByHTTP(t *testing.T) {
	addr := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1024))
		_, _ = io.WriteString(c, "SSH-2.0-what is this, and for how long will it go on\r\n")
	})
	for _, proto := range []string{"http1", "http2"} {
		o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, Protocol: proto, Timeout: attacker.Duration(time.Second)})
		if o.Refusal == nil || o.Refusal.Layer != attacker.LayerHTTP {
			t.Errorf("%s: %+v", proto, o.Refusal)
		}
	}
}
