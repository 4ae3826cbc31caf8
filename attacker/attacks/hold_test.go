package attacks_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// hold is a series at the hardened server by protocol, from web's sidecar.
func (s stage) hold(t *testing.T, p attacks.HoldConnection) (attacker.Foothold, attacks.HoldConnection) {
	t.Helper()
	alpn := "http/1.1"
	switch p.Protocol {
	case attacks.HTTP2, attacks.Stream:
		alpn = "h2"
	}
	p.Port = s.hardened.Port
	p.Request = charge
	if p.Protocol == attacks.TCP {
		p.Port, p.Request = s.hardened.TCPPort, ""
	}
	return attackertest.Meshed(t, s.leaf(s.web), alpn), p
}

func served(n int) func([]attacker.Observation) bool {
	return func(seen []attacker.Observation) bool {
		return len(slices.DeleteFunc(slices.Clone(seen), func(o attacker.Observation) bool { return o.Reply == nil })) >= n
	}
}

func refused(n int) func([]attacker.Observation) bool {
	return func(seen []attacker.Observation) bool {
		return len(slices.DeleteFunc(slices.Clone(seen), func(o attacker.Observation) bool { return o.Refusal == nil })) >= n
	}
}

func protocols() []attacks.Protocol {
	return []attacks.Protocol{attacks.HTTP1, attacks.HTTP2, attacks.Stream, attacks.TCP}
}

func TestARevocationEndsAHeldConnection(t *testing.T) {
	for _, protocol := range protocols() {
		t.Run(string(protocol), func(t *testing.T) {
			s := newStage(t, false)
			f, p := s.hold(t, attacks.HoldConnection{Protocol: protocol})
			r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
			r.Until("three requests were served", served(3))
			s.hardened.Revoke(s.web)
			before := len(s.hardened.Served())
			seen := r.Wait() // it ends by itself
			if after := len(s.hardened.Served()); after != before {
				t.Errorf("%d requests were served after the revocation", after-before)
			}
			last := seen[len(seen)-1]
			mustRefuse(t, last, refusal(attacker.LayerTCP, 0, "closed"))
			for _, o := range seen[:len(seen)-1] {
				mustServe(t, o)
				if o.Local != seen[0].Local || o.Connection != seen[0].Connection || o.Connection == attacker.Fresh {
					t.Fatalf("request %s went over %s %s, the first over %s %s", o.Nonce, o.Connection, o.Local, seen[0].Connection, seen[0].Local)
				}
			}
		})
	}
}

func TestEachOfSeveralKeptConnectionsIsRefusedAfterARevocation(t *testing.T) {
	s := newStage(t, false)
	f, p := s.hold(t, attacks.HoldConnection{Connections: 4})
	r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
	lines := func(seen []attacker.Observation, of func(attacker.Observation) bool) int {
		from := map[string]bool{}
		for _, o := range seen {
			if of(o) {
				from[o.Connection] = true
			}
		}
		return len(from)
	}
	by := func(of func(attacker.Observation) bool) func([]attacker.Observation) bool {
		return func(seen []attacker.Observation) bool { return lines(seen, of) == 4 }
	}
	r.Until("all four were served", by(func(o attacker.Observation) bool { return o.Refusal == nil }))
	s.hardened.Revoke(s.web)
	r.Until("all four were refused", by(func(o attacker.Observation) bool { return o.Refusal != nil }))
	seen := r.Stop()
	if n := lines(seen, func(attacker.Observation) bool { return true }); n != 4 {
		t.Errorf("%d connections", n)
	}
	last := map[string]uint16{}
	for _, o := range seen {
		if port, known := last[o.Connection]; known && o.Local.IsValid() && o.Local.Port() != port {
			t.Errorf("%s moved from port %d to %d", o.Connection, port, o.Local.Port())
		}
		last[o.Connection] = o.Local.Port()
	}
}

func TestARedialedConnectionIsRefusedAfterARevocation(t *testing.T) {
	s := newStage(t, false)
	f, p := s.hold(t, attacks.HoldConnection{Redial: true})
	r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
	r.Until("three requests were served", served(3))
	s.hardened.Revoke(s.web)
	r.Until("three requests were refused", refused(3))
	seen := r.Stop()
	first := slices.IndexFunc(seen, func(o attacker.Observation) bool { return o.Refusal != nil })
	mustRefuse(t, seen[first], refusal(attacker.LayerTCP, 0, "closed"))
	for _, o := range seen[first+1:] {
		mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, notAllowed))
		if o.Local == seen[0].Local {
			t.Error("the closed connection answered")
		}
	}
}

func TestFreshConnectionsAreRefusedAfterARevocation(t *testing.T) {
	for _, protocol := range protocols() {
		t.Run(string(protocol), func(t *testing.T) {
			s := newStage(t, false)
			f, p := s.hold(t, attacks.HoldConnection{Protocol: protocol, Connection: attacks.Fresh})
			r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
			r.Until("three requests were served", served(3))
			s.hardened.Revoke(s.web)
			revoked := time.Now()
			r.Until("three requests were refused", refused(3))
			from := map[string]bool{}
			for _, o := range r.Stop() {
				from[o.Local.String()] = true
				if o.Start.After(revoked) && o.Reply != nil {
					t.Errorf("request %s was served after the revocation", o.Nonce)
				}
			}
			if len(from) < 6 {
				t.Errorf("only %d connections: they are not fresh", len(from))
			}
		})
	}
}

func TestASeriesCanEndAtTheFirstRefusal(t *testing.T) {
	s := newStage(t, false)
	for _, c := range []attacks.Keeping{attacks.Kept, attacks.Fresh} {
		t.Run(string(c), func(t *testing.T) {
			_, p := s.hold(t, attacks.HoldConnection{Connection: c, UntilRefused: true, Every: attacker.Duration(50 * time.Millisecond)})
			f := attackertest.Meshed(t, s.leaf(s.thief))
			o := only(t, attackertest.Run(t, attack(t, "hold-connection"), f, s.hardened.Target, p))
			mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, notAllowed))
		})
	}
}

func TestAKeptConnectionGoesOnAfterAnHTTPRefusal(t *testing.T) {
	s := newStage(t, false)
	_, p := s.hold(t, attacks.HoldConnection{})
	f := attackertest.Meshed(t, s.leaf(s.thief))
	r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
	r.Until("five requests were refused", refused(5))
	for _, o := range r.Stop() {
		mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, notAllowed))
	}
}

func TestASeriesKeepsItsPaceAndEndsInTime(t *testing.T) {
	const every, length = 10 * time.Millisecond, 300 * time.Millisecond
	for _, c := range []attacks.Keeping{attacks.Kept, attacks.Fresh} {
		t.Run(string(c), func(t *testing.T) {
			s := newStage(t, false)
			f, p := s.hold(t, attacks.HoldConnection{Connection: c, Every: attacker.Duration(every), For: attacker.Duration(length)})
			seen := attackertest.Run(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
			// A busy machine may leave ticks out; none may be added.
			if n := len(seen); n < 5 || n > int(length/every)+2 {
				t.Errorf("%d requests in %s, one each %s", n, length, every)
			}
			for _, o := range seen {
				mustServe(t, o)
			}
		})
	}
}

// silent accepts and never answers.
func silent(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
		}
		for _, c := range open {
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

func TestARequestThatHangsNeitherOutlivesItsDeadlineNorHidesTheNext(t *testing.T) {
	const timeout, every, length = 200 * time.Millisecond, 10 * time.Millisecond, 300 * time.Millisecond
	p := attacks.HoldConnection{
		Call: attacks.Call{Port: silent(t)}, Connection: attacks.Fresh,
		Every: attacker.Duration(every), For: attacker.Duration(length), Timeout: attacker.Duration(timeout),
	}
	target := attacker.Target{Address: "127.0.0.1", Host: "bank.prod"}
	seen := attackertest.Run(t, attack(t, "hold-connection"), attackertest.Outside(t), target, p)
	if len(seen) < 5 {
		t.Errorf("only %d requests in %s although they may overlap", len(seen), length)
	}
	for _, o := range seen {
		mustRefuse(t, o, refusal(attacker.LayerDrop, 0, "timeout"))
		if took := o.End.Sub(o.Start); took < timeout || took > 5*timeout {
			t.Errorf("a request took %s with a deadline of %s", took, timeout)
		}
	}
	p.Connection = attacks.Kept
	mustRefuse(t, only(t, attackertest.Run(t, attack(t, "hold-connection"), attackertest.Outside(t), target, p)),
		refusal(attacker.LayerDrop, 0, "timeout"))
}

func TestAStopIsNotSeenAsARefusal(t *testing.T) {
	s := newStage(t, false)
	for _, c := range []attacks.Keeping{attacks.Kept, attacks.Fresh} {
		f, p := s.hold(t, attacks.HoldConnection{Connection: c, Every: attacker.Duration(time.Millisecond)})
		r := attackertest.Start(t, attack(t, "hold-connection"), f, s.hardened.Target, p)
		r.Until("a request was served", served(1))
		for _, o := range r.Stop() {
			mustServe(t, o)
		}
	}
}

func TestAFootholdThatKeepsNothingCannotHold(t *testing.T) {
	f := attackertest.Outside(t)
	f.Kept = nil
	none := func(attacker.Observation) { t.Error("something was observed") }
	err := attack(t, "hold-connection").Try(t.Context(), f, attacker.Target{Address: "127.0.0.1"}, func() string { return "n" }, nil, none)
	if err == nil || !strings.Contains(err.Error(), "keeps no connections") {
		t.Errorf("error: %v", err)
	}
}
