package session_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/app"
	"github.com/meshbreach/meshbreach/attacker/session"
)

// pipe is a pair of connected TCP sockets.
func pipe(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = here.Close(); _ = there.Close() })
	return here, there
}

type series struct {
	Every attacker.Duration `json:"every"`
	Count int               `json:"count"`
}

// catalog has one attack of each temper.
func catalog(ended chan<- string) []attacker.Attack {
	note := func(name string) {
		select {
		case ended <- name:
		default:
		}
	}
	return []attacker.Attack{
		attacker.New("series", "", "", func(_ context.Context, f attacker.Foothold, tg attacker.Target, nonce func() string, p series, emit func(attacker.Observation)) error {
			for range p.Count {
				emit(attacker.Observation{Nonce: nonce(), Seen: attacker.Nowhere, Connection: f.Workload + " to " + tg.Workload})
			}
			return nil
		}),
		attacker.New("hold", "", "", func(ctx context.Context, _ attacker.Foothold, _ attacker.Target, nonce func() string, p series, emit func(attacker.Observation)) error {
			defer note("hold")
			tick := time.NewTicker(time.Duration(p.Every))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
					emit(attacker.Observation{Nonce: nonce(), Seen: attacker.Nowhere})
				}
			}
		}),
		attacker.New("broken", "", "", func(context.Context, attacker.Foothold, attacker.Target, func() string, series, func(attacker.Observation)) error {
			return errors.New("no leaf to present")
		}),
		attacker.New("panics", "", "", func(context.Context, attacker.Foothold, attacker.Target, func() string, series, func(attacker.Observation)) error {
			panic("surprise")
		}),
	}
}

type rig struct {
	client *session.Client
	app    *app.App
	here   net.Conn
	ended  chan string // names of attacks that saw their context end
	served chan error  // result of Serve
}

func connect(t testing.TB, silence time.Duration) rig {
	t.Helper()
	here, there := pipe(t)
	a, err := app.Start(nil, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rig{app: a, here: here, ended: make(chan string, 10), served: make(chan error, 1)}
	go func() {
		r.served <- session.Serve(context.Background(), there, session.Agent{Attacks: catalog(r.ended), App: a, Silence: silence})
	}()
	r.client = session.Connect(here)
	t.Cleanup(func() {
		_ = r.client.Close()
		_ = a.Close()
	})
	return r
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAProbeGreetsServesAndHandsOutReceipts(t *testing.T) {
	r := connect(t, 0)
	h, err := r.client.Hello(within(t))
	if err != nil || h.Epoch != r.app.Epoch() || h.Pid == 0 {
		t.Fatal(h, err)
	}
	if err := r.client.Serve(within(t), []attacker.Listen{{Protocol: app.HTTP}}); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", r.app.Ports()[0])
	for i := range 3 {
		o, err := r.client.Request(within(t), attacker.Request{Nonce: fmt.Sprint(i), Address: addr, Connection: "kept"})
		if err != nil || o.Reply == nil || o.Reply.By != h.Epoch {
			t.Fatalf("%+v %v", o, err)
		}
	}
	all, err := r.client.Receipts(within(t), 1)
	if err != nil || all.Last != 3 || len(all.Items) != 2 || all.Items[0].Nonce != "1" || all.Epoch != h.Epoch {
		t.Errorf("%+v %v", all, err)
	}
	if err := r.client.Serve(within(t), []attacker.Listen{{Protocol: "udp"}}); err == nil || !strings.Contains(err.Error(), "udp") {
		t.Error(err)
	}
}

func TestManyReceiptsComeInPages(t *testing.T) {
	r := connect(t, 0)
	if err := r.client.Serve(within(t), []attacker.Listen{{Protocol: app.TCP}}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.app.Ports()[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 9001
	go func() { _, _ = io.WriteString(c, strings.Repeat("NONCE x\n", n)) }()
	lines := bufio.NewScanner(c)
	for range n {
		lines.Scan()
	}
	all, err := r.client.Receipts(within(t), 0)
	if err != nil || len(all.Items) != n || all.Last != n || all.Items[n-1].Seq != n {
		t.Errorf("%d receipts, last %d: %v", len(all.Items), all.Last, err)
	}
}

func TestAnAttemptStreamsItsObservationsInOrder(t *testing.T) {
	r := connect(t, 0)
	var got []string
	err := r.client.Try(within(t), session.Attempt{
		Attack: "series", Foothold: "thief", Target: attacker.Target{Workload: "bank"}, Prefix: "s7", Params: json.RawMessage(`{"count": 500}`),
	}, func(o attacker.Observation) { got = append(got, o.Nonce+" "+o.Connection) })
	if err != nil || len(got) != 500 {
		t.Fatal(len(got), err)
	}
	for i, text := range got {
		if text != fmt.Sprintf("s7-%d thief to bank", i+1) {
			t.Fatalf("observation %d is %q", i, text)
		}
	}
}

func TestAnAttemptThatCannotBeMadeIsAnError(t *testing.T) {
	r := connect(t, 0)
	for attack, want := range map[string]string{"broken": "no leaf to present", "panics": "panicked", "unheard-of": "unheard-of", "series": "typo"} {
		err := r.client.Try(within(t), session.Attempt{Attack: attack, Params: json.RawMessage(map[bool]string{true: `{"typo": 1}`, false: `{}`}[attack == "series"])}, func(attacker.Observation) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", attack, err)
		}
	}
	if _, err := r.client.Hello(within(t)); err != nil {
		t.Errorf("the session did not outlive them: %v", err)
	}
}

func TestEndingAHoldKeepsWhatWasSeenAndIsNoError(t *testing.T) {
	r := connect(t, 0)
	ctx, cancel := context.WithCancel(within(t))
	var seen int
	err := r.client.Try(ctx, session.Attempt{Attack: "hold", Params: json.RawMessage(`{"every": "1ms"}`)}, func(attacker.Observation) {
		if seen++; seen == 20 {
			cancel()
		}
	})
	if err != nil || seen < 20 {
		t.Error(seen, err)
	}
	select {
	case <-r.ended:
	default:
		t.Error("Try returned before the attack had stopped on the probe")
	}
}

func TestTwoAttemptsRunSideBySide(t *testing.T) {
	r := connect(t, 0)
	var mu sync.Mutex
	seen := map[string]int{}
	both := make(chan struct{})
	var once sync.Once
	count := func(name string) func(attacker.Observation) {
		return func(attacker.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen[name]++
			if seen["a"] > 10 && seen["b"] > 10 {
				once.Do(func() { close(both) })
			}
		}
	}
	var running []*session.Running
	for _, name := range []string{"a", "b"} {
		run, err := r.client.Start(within(t), session.Attempt{Attack: "hold", Params: json.RawMessage(`{"every": "1ms"}`)}, count(name))
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, run)
	}
	select {
	case <-both:
	case <-time.After(10 * time.Second):
		t.Fatal(seen)
	}
	for _, run := range running {
		if err := run.Stop(within(t)); err != nil {
			t.Error(err)
		}
		if err := run.Stop(within(t)); err != nil {
			t.Error("stopping twice:", err)
		}
	}
}

func TestALoadGoesOnUntilItIsStopped(t *testing.T) {
	r := connect(t, 0)
	if err := r.client.Serve(within(t), []attacker.Listen{{Protocol: app.HTTP}}); err != nil {
		t.Fatal(err)
	}
	request := attacker.Request{Nonce: "p", Address: fmt.Sprintf("127.0.0.1:%d", r.app.Ports()[0])}
	var loads []*session.Load
	for range 2 {
		p, err := r.client.StartLoad(within(t), attacker.Load{Rate: 200, Fresh: 50, Request: request})
		if err != nil {
			t.Fatal(err)
		}
		loads = append(loads, p)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.app.Receipts(0, 1).Last < 50 {
		<-tick.C
	}
	var served uint64
	for _, p := range loads {
		result, err := p.Stop(within(t))
		if err != nil || result.Served == 0 || result.Lost != 0 {
			t.Errorf("%+v %v", result, err)
		}
		served += result.Served
	}
	if last := r.app.Receipts(0, 1).Last; last != served {
		t.Errorf("%d receipts, %d served", last, served)
	}
	if _, err := r.client.StartLoad(within(t), attacker.Load{Rate: -1, Request: request}); err == nil {
		t.Error("an impossible load was started")
	}
	short, err := r.client.StartLoad(within(t), attacker.Load{Rate: 100, Limit: attacker.Duration(50 * time.Millisecond), Request: request})
	if err != nil {
		t.Fatal(err)
	}
	<-short.Done()
	if result, err := short.Stop(within(t)); err != nil || result.Requests == 0 {
		t.Errorf("%+v %v", result, err)
	}
}
