package session_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// once is a stream that says its piece and ends.
type once struct {
	*bytes.Reader
	said bytes.Buffer
}

func (o *once) Write(b []byte) (int, error) { return o.said.Write(b) }
func (o *once) Close() error                { return nil }

func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"hello"}`,
		`{"jsonrpc":"2.0","id":1,"method":"request","params":{"nonce":"n","address":"127.0.0.1:1","connection":"k"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"request","params":{"address":"h:1","tls":{"leaf":{"chain":"x","key":"y"}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"try","params":{"id":1,"attempt":{"attack":"series","params":{"count":3}}}}` + "\n" + `{"jsonrpc":"2.0","method":"try.stop","params":{"id":1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"try","params":{"id":1,"attempt":{"attack":"panics"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"load","params":{"id":1,"load":{"rate":9,"request":{"address":"h:1"}}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"serve","params":{"listeners":[{"port":1,"protocol":"http"}]}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":1,"method":"cancel","params":{"call":"1"}}]`,
		`{"jsonrpc":"2.0","id":1,"result":{}}` + "\n[]\n{}\n\n[",
		"\x00\xff\n\"\n",
	} {
		f.Add([]byte(seed + "\n"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		// Nothing of the input may reach a network or claim a port.
		foothold := attacker.Foothold{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no network here")
		}}
		agent := session.Agent{Foothold: foothold, Attacks: small()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			// The input is no valid session most of the time: its error is of no interest.
			_ = session.Serve(context.Background(), &once{Reader: bytes.NewReader(input)}, agent)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("the session does not end")
		}
	})
}

// small is a catalogue whose attacks cannot grow with the input.
func small() []attacker.Attack {
	return []attacker.Attack{
		attacker.New("series", "", "", func(_ context.Context, _ attacker.Foothold, _ attacker.Target, nonce func() string, p series, emit func(attacker.Observation)) error {
			for range min(p.Count, 10) {
				emit(attacker.Observation{Nonce: nonce()})
			}
			return nil
		}),
		attacker.New("panics", "", "", func(context.Context, attacker.Foothold, attacker.Target, func() string, series, func(attacker.Observation)) error {
			panic("surprise")
		}),
	}
}
