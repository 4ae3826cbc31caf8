package attacker_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

func keyPair(t testing.TB, uris ...string) (attacker.KeyPair, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"bank.test"}}
	for _, u := range uris {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, parsed)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair := attacker.KeyPair{
		Chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
	return pair, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writeFails lets a TLS handshake through and then fails every write, after
// the peer's verdict lies in the receive buffer.
type writeFails struct {
	net.Conn
	verdict <-chan struct{}
	failing atomic.Bool
}

func (c *writeFails) Write(b []byte) (int, error) {
	// The first write is the hello, the second the client's last flight.
	if c.failing.Load() {
		<-c.verdict
		return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
	}
	return c.Conn.Write(b)
}

func TestAnAlertOfTLS13IsReadAfterAFailedWrite(t *testing.T) {
	pair, own := keyPair(t)
	for _, proto := range []string{"http1", "http2", "tcp", "http2-stream"} {
		t.Run(proto, func(t *testing.T) {
			verdict := make(chan struct{})
			var client *writeFails
			addr := serve(t, func(c net.Conn) {
				s := tls.Server(c, &tls.Config{
					Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"},
					ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(),
				})
				_ = s.Handshake()
				close(verdict)
			})
			f := attacker.Foothold{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				client = &writeFails{Conn: c, verdict: verdict}
				return &afterFlight{writeFails: client}, nil
			}}
			o := f.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, Protocol: proto, TLS: &attacker.TLS{Leaf: &pair, ALPN: []string{"h2"}}})
			if o.Refusal == nil || o.Refusal.Layer != attacker.LayerTLS || o.Refusal.Text != "unknown_ca" && o.Refusal.Text != "bad_certificate" {
				t.Errorf("refusal %+v", o.Refusal)
			}
			if o.Seen != attacker.Handshake || !slices.Equal(o.Peer.DNS, []string{"bank.test"}) {
				t.Errorf("saw %+v", o)
			}
			if !client.failing.Load() {
				t.Error("no write was made to fail")
			}
		})
	}
}

// afterFlight counts the client's flights: hello, then certificate to
// finished. Everything later is data.
type afterFlight struct {
	*writeFails
	flights int
}

func (c *afterFlight) Write(b []byte) (int, error) {
	if c.flights == 2 {
		c.failing.Store(true)
	}
	c.flights++
	return c.writeFails.Write(b)
}

func TestAnAlertIsNamedAsInTheStandard(t *testing.T) {
	pair, own := keyPair(t)
	for _, version := range []string{"", "1.2"} {
		addr := serve(t, func(c net.Conn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert})
			_ = s.Handshake()
			_, _ = io.Copy(io.Discard, c)
		})
		o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, TLS: &attacker.TLS{MaxVersion: version}})
		want, code := "certificate_required", 116
		if version == "1.2" {
			want, code = "handshake_failure", 40
		}
		wantRefusal(t, o, attacker.LayerTLS, want)
		if o.Refusal.Code != code {
			t.Errorf("code %d", o.Refusal.Code)
		}
	}
	// And the certificate does travel when we have one.
	addr := serve(t, func(c net.Conn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert})
		_, _ = http.ReadRequest(bufio.NewReader(s))
		_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
	})
	if o := (attacker.Foothold{}).Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, TLS: &attacker.TLS{Leaf: &pair}}); o.Reply == nil {
		t.Errorf("%+v", o.Refusal)
	}
}

func TestTLSToAPlaintextPortIsRefusedByTLS(t *testing.T) {
	addr := serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	o := attacker.Foothold{}.Request(t.Context(), attacker.Request{Nonce: "n", Address: addr, TLS: &attacker.TLS{}})
	if o.Refusal == nil || o.Refusal.Layer != attacker.LayerTLS || !strings.HasPrefix(o.Refusal.Text, "not TLS") {
		t.Errorf("%+v", o.Refusal)
	}
}
