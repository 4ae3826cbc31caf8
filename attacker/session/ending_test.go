package session_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
)

func TestAnEndedStreamEndsEverythingOnBothSides(t *testing.T) {
	r := connect(t, 0)
	started := make(chan struct{}, 1)
	run, err := r.client.Start(within(t), session.Attempt{Attack: "hold", Params: json.RawMessage(`{"every": "1ms"}`)}, func(attacker.Observation) {
		select {
		case started <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan error, 1)
	go func() {
		_, err := r.client.Request(context.Background(), attacker.Request{Address: silent.Addr().String(), Timeout: attacker.Duration(time.Minute)})
		asked <- err
	}()
	if _, err := silent.Accept(); err != nil {
		t.Fatal(err)
	}
	<-started
	_ = r.here.Close()
	if err := <-asked; !errors.Is(err, session.ErrEnded) {
		t.Errorf("the pending call: %v", err)
	}
	if err := run.Wait(within(t)); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the attempt: %v", err)
	}
	if name := <-r.ended; name != "hold" {
		t.Error(name)
	}
	if err := <-r.served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := r.client.Hello(within(t)); !errors.Is(err, session.ErrEnded) {
		t.Errorf("a later call: %v", err)
	}
}

func TestASilentHarnessStopsAttacksAndLoads(t *testing.T) {
	here, there := pipe(t)
	ended := make(chan string, 10)
	go func() {
		_ = session.Serve(t.Context(), there, session.Agent{Attacks: catalog(ended), Silence: 200 * time.Millisecond})
	}()
	// This harness speaks the protocol by hand and then says nothing more.
	_, err := io.WriteString(here, `{"jsonrpc":"2.0","id":1,"method":"try","params":{"id":1,"attempt":{"attack":"hold","params":{"every":"10ms"}}}}
{"jsonrpc":"2.0","id":2,"method":"load","params":{"id":2,"load":{"rate":10,"request":{"nonce":"p","address":"127.0.0.1:1"}}}}
`)
	if err != nil {
		t.Fatal(err)
	}
	_ = here.SetReadDeadline(time.Now().Add(10 * time.Second))
	lines := bufio.NewScanner(here)
	over := map[string]bool{}
	for len(over) < 2 && lines.Scan() {
		var m struct {
			Method string
			Params struct{ Error string }
		}
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(m.Method, ".ended") {
			over[m.Method] = strings.Contains(m.Params.Error, "not heard")
		}
	}
	if !over["try.ended"] || !over["load.ended"] {
		t.Errorf("%v %v", over, lines.Err())
	}
}

func TestAHarnessThatPingsIsHeard(t *testing.T) {
	r := connect(t, 1500*time.Millisecond)
	run, err := r.client.Start(within(t), session.Attempt{Attack: "hold", Params: json.RawMessage(`{"every": "100ms"}`)}, func(attacker.Observation) {})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-run.Done():
		t.Error("stopped:", run.Wait(within(t)))
	case <-time.After(2500 * time.Millisecond):
	}
}

func TestAnotherVersionIsAnError(t *testing.T) {
	here, there := pipe(t)
	go func() {
		if _, err := bufio.NewReader(there).ReadString('\n'); err == nil {
			_, _ = io.WriteString(there, `{"jsonrpc":"2.0","id":1,"result":{"version":99}}`+"\n")
		}
	}()
	c := session.Connect(here)
	defer c.Close()
	if _, err := c.Hello(within(t)); err == nil || !strings.Contains(err.Error(), "99") {
		t.Error(err)
	}
}

func TestACallToAHungProbeEndsWithItsContext(t *testing.T) {
	here, _ := pipe(t)
	c := session.Connect(here)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	big := attacker.Request{Address: "127.0.0.1:1", Body: strings.Repeat("x", 4<<20)}
	for range 3 {
		if _, err := c.Request(ctx, big); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

func TestACancelledRequestIsGivenUpByTheProbe(t *testing.T) {
	r := connect(t, 0)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = r.client.Request(ctx, attacker.Request{Address: silent.Addr().String(), Timeout: attacker.Duration(time.Minute)})
	}()
	c, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the probe holds the connection: %v", err)
	}
}

// A probe that speaks the protocol by hand answers everything, and its
// notification about an attempt cannot be read.
func TestANotificationThatCannotBeReadEndsTheWait(t *testing.T) {
	here, there := pipe(t)
	go func() {
		lines := bufio.NewScanner(there)
		for lines.Scan() {
			var m struct {
				ID     json.RawMessage
				Method string
			}
			if json.Unmarshal(lines.Bytes(), &m) != nil || len(m.ID) == 0 {
				continue
			}
			_, _ = io.WriteString(there, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":null}`+"\n")
			if m.Method == "try" {
				_, _ = io.WriteString(there, `{"jsonrpc":"2.0","method":"try.ended","params":{"id":"one"}}`+"\n")
			}
		}
	}()
	client := session.Connect(here)
	t.Cleanup(func() { _ = client.Close() })
	run, err := client.Start(within(t), session.Attempt{Attack: "hold"}, func(attacker.Observation) {})
	if err != nil {
		t.Fatal(err)
	}
	err = run.Wait(within(t))
	if !errors.Is(err, session.ErrEnded) || !strings.Contains(err.Error(), `its notification "try.ended" cannot be read`) {
		t.Errorf("the attempt: %v", err)
	}
	if _, err := client.Hello(within(t)); !errors.Is(err, session.ErrEnded) {
		t.Errorf("a later call: %v", err)
	}
}
