package attackertest

import (
	"slices"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

// A Naive server serves everybody and writes a receipt for each request.
type Naive struct {
	Target  attacker.Target
	Port    int // HTTP/1.1 and HTTP/2, in plain text and within TLS that verifies nobody
	TCPPort int // the line protocol, likewise

	app *app.App
}

// NaiveServer starts a target application without anything before it; it ends
// with the test.
func NaiveServer(t testing.TB) *Naive {
	t.Helper()
	a, err := app.Start([]attacker.Listen{{Protocol: app.HTTP}, {Protocol: app.TCP}}, app.Options{})
	if err != nil {
		t.Fatalf("start a naive server: %v", err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("stop the naive server: %v", err)
		}
	})
	ports := a.Ports()
	return &Naive{
		Target:  attacker.Target{Workload: "bank", Address: "127.0.0.1", Host: "bank.prod"},
		Port:    ports[0],
		TCPPort: ports[1],
		app:     a,
	}
}

// Receipt is what the server wrote down about a request; false when the
// request did not arrive.
func (n *Naive) Receipt(nonce string) (attacker.Receipt, bool) {
	items := n.app.Receipts(0, 0).Items
	i := slices.IndexFunc(items, func(r attacker.Receipt) bool { return r.Nonce == nonce })
	if i < 0 {
		return attacker.Receipt{}, false
	}
	return items[i], true
}
