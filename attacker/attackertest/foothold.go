package attackertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// Outside is a foothold without a sidecar: what it sends is sent as it stands.
func Outside(t testing.TB) attacker.Foothold {
	t.Helper()
	kept := attacker.NewConnections()
	t.Cleanup(kept.CloseAll)
	return attacker.Foothold{
		Workload: "outsider",
		Dial:     (&net.Dialer{}).DialContext,
		Now:      time.Now,
		Kept:     kept,
	}
}

// Meshed is a foothold with a sidecar's mutual TLS: every connection carries
// the leaf, whatever the attack sends in it. The sidecar offers these
// protocols in ALPN, http/1.1 when there are none; name h2 for an attack that
// speaks HTTP/2.
func Meshed(t testing.TB, leaf *attacker.KeyPair, alpn ...string) attacker.Foothold {
	t.Helper()
	cert, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key))
	if err != nil {
		t.Fatalf("read the foothold's leaf: %v", err)
	}
	if len(alpn) == 0 {
		alpn = []string{"http/1.1"}
	}
	f := Outside(t)
	f.Workload = "thief"
	dial := f.Dial
	f.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, &tls.Config{
			Certificates:       []tls.Certificate{cert},
			NextProtos:         alpn,
			InsecureSkipVerify: true, // what the target proves is not what is tried here
		})
		if err := conn.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("mutual TLS of the sidecar: %w", err)
		}
		return conn, nil
	}
	return f
}
