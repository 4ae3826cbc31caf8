package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
)

// requesting is one call of an address, as it is written in a pod.
func requesting(t *testing.T, address string) string {
	t.Helper()
	raw, err := json.Marshal(attacker.Request{Nonce: "n-1", Address: address, Method: "POST", Path: "/v1/charge"})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// serving is a target that keeps receipts.
func serving(t *testing.T) (target *app.App, address string) {
	t.Helper()
	a, err := app.Start([]attacker.Listen{{Protocol: app.HTTP}}, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a, fmt.Sprintf("127.0.0.1:%d", a.Ports()[0])
}

func TestAProbeThatRequestsOnceLeavesOneReceiptAndEnds(t *testing.T) {
	a, address := serving(t)
	cmd := exec.CommandContext(within(t), os.Args[0], "-"+attacker.FlagOnce, requesting(t, address))
	cmd.Env = []string{asProbe + "=1"}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	got := a.Receipts(0, 0).Items
	if len(got) != 1 || got[0].Nonce != "n-1" || got[0].Method != "POST" || got[0].Path != "/v1/charge" {
		t.Errorf("receipts %+v", got)
	}
}

// A proxy that is not ready refuses connections, or answers that it knows of
// nobody behind it. It is the same call that is made again.
func TestItRequestsUntilTheProxyBesideItLetsItThrough(t *testing.T) {
	a, address := serving(t)
	var dials atomic.Int32
	f := attacker.Foothold{Dial: func(ctx context.Context, network, to string) (net.Conn, error) {
		var d net.Dialer
		switch dials.Add(1) {
		case 1:
			return nil, errors.New("connect: connection refused")
		case 2:
			return d.DialContext(ctx, network, answering(t, http.StatusServiceUnavailable))
		}
		return d.DialContext(ctx, network, to)
	}}
	if err := once(within(t), requesting(t, address), f); err != nil {
		t.Error(err)
	}
	if got := a.Receipts(0, 0).Items; len(got) != 1 || got[0].Nonce != "n-1" || dials.Load() != 3 {
		t.Errorf("receipts %+v after %d dials", got, dials.Load())
	}
}

// answering is the address of a server that answers everybody alike.
func answering(t *testing.T, status int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", status) })}
	t.Cleanup(func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
	return l.Addr().String()
}

func TestARefusalThatSomebodyDecidedOnIsTheEnd(t *testing.T) {
	cmd := exec.CommandContext(within(t), os.Args[0], "-"+attacker.FlagOnce, requesting(t, answering(t, http.StatusForbidden)))
	cmd.Env = []string{asProbe + "=1"}
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 1 || !strings.Contains(string(out), "refused: http 403 no") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestARequestThatNobodyAnswersIsGivenUp(t *testing.T) {
	ctx, stop := context.WithCancel(within(t))
	f := attacker.Foothold{Dial: func(context.Context, string, string) (net.Conn, error) {
		stop() // the limit, but now
		return nil, errors.New("connect: connection refused")
	}}
	if err := once(ctx, requesting(t, "127.0.0.1:1"), f); err == nil || !strings.HasPrefix(err.Error(), "nobody answered") {
		t.Error(err)
	}
}

func TestWhatIsNoRequestIsNotMade(t *testing.T) {
	for text, want := range map[string]string{
		"{":                         "read the request",
		`{"places": "127.0.0.1:1"}`: "unknown field",
		`{"address": "bank"}`:       "is not host:port",
	} {
		if err := once(within(t), text, attacker.Foothold{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
