package assertions_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func TestASignalJoinsByAddressOnlyWhereNoNonceTravelledAndOnlyInItsTime(t *testing.T) {
	check(t, joins())
}

func joins() []trial {
	// A handshake that was refused: no request, so no nonce.
	handshake := func() assertions.Record {
		r := hold()
		r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: "target", Layer: "tls", Reason: "certificate_expired"}
		r.Tries.Observations[0] = refused("a1", 5000, attacker.LayerTLS, 45, "certificate_expired")
		r.Signals = []signals.Signal{{At: ms(5001), Seen: ms(5010), Workload: "bank", Inbound: true, Layer: "tls", Source: thiefAt, Refused: true, Reason: "certificate_expired"}}
		return r
	}
	signal := func(change func(*signals.Signal)) func(*assertions.Record) {
		return func(r *assertions.Record) { change(&r.Signals[0]) }
	}
	proxy := netip.MustParseAddrPort("10.0.0.12:52000")
	blocked := func(name string, but func(*assertions.Record)) trial {
		return trial{name, handshake, but, assertions.Blocked, assertions.Pass, "refused by bank: tls certificate_expired"}
	}
	alone := func(name string, but func(*assertions.Record)) trial {
		return trial{name, handshake, but, assertions.Inconclusive, assertions.Unjudged, "no proxy reported a refusal"}
	}
	return []trial{
		blocked("address and port", nil),
		blocked("an IPv4 address in its IPv6 form", signal(func(s *signals.Signal) {
			s.Source = netip.AddrPortFrom(netip.MustParseAddr("::ffff:10.0.0.12"), thiefAt.Port())
		})),
		blocked("a clock that is behind a little", signal(func(s *signals.Signal) { s.At = ms(4200) })),
		blocked("the address that the thief's own proxy went on from", func(r *assertions.Record) {
			r.Signals[0].Source = proxy
			r.Signals = append(r.Signals, signals.Signal{At: ms(5000), Workload: "thief", Layer: "tcp", Source: thiefAt, Onward: proxy})
		}),
		blocked("the address that the thief's own proxy went on from, told by nonce", func(r *assertions.Record) {
			r.Signals[0].Source = proxy
			r.Signals = append(r.Signals, signals.Signal{At: ms(5000), Workload: "thief", Layer: "http", Nonce: "a1", Source: thiefAt, Onward: proxy})
		}),
		blocked("a kept connection that was opened long before", func(r *assertions.Record) {
			first := kept(refused("a0", 1000, attacker.LayerTLS, 45, ""))
			r.Tries.Observations = []attacker.Observation{first, kept(r.Tries.Observations[0])}
			r.Signals[0].At = ms(1001)
		}),

		alone("another port of the same address", signal(func(s *signals.Signal) { s.Source = netip.AddrPortFrom(thiefAt.Addr(), 40001) })),
		alone("the same port of another address", signal(func(s *signals.Signal) { s.Source = netip.AddrPortFrom(webAt.Addr(), thiefAt.Port()) })),
		alone("an old signal of the same port", signal(func(s *signals.Signal) { s.At = ms(3900) })),
		alone("a later signal of the same port", signal(func(s *signals.Signal) { s.At = ms(6100) })),
		alone("a signal of another's request on the same port", signal(func(s *signals.Signal) { s.Nonce = "x1" })),
		alone("no addresses at all", func(r *assertions.Record) {
			r.Tries.Observations[0].Local, r.Signals[0].Source = netip.AddrPort{}, netip.AddrPort{}
		}),
		alone("the address that another's proxy went on from", func(r *assertions.Record) {
			r.Signals[0].Source = proxy
			r.Signals = append(r.Signals, signals.Signal{At: ms(5000), Workload: "web", Layer: "tcp", Source: webAt, Onward: proxy})
		}),
		alone("the address that another's inbound proxy went on from", func(r *assertions.Record) {
			r.Signals[0].Source = proxy
			r.Signals = append(r.Signals, signals.Signal{At: ms(5000), Workload: "gateway", Inbound: true, Layer: "tcp", Source: thiefAt, Onward: proxy})
		}),
		alone("a kept connection of another name", func(r *assertions.Record) {
			first := kept(refused("a0", 1000, attacker.LayerTLS, 45, ""))
			second := refused("a1", 5000, attacker.LayerTLS, 45, "")
			second.Connection = "kept-2"
			r.Tries.Observations = []attacker.Observation{first, second}
			r.Signals[0].At = ms(1001)
		}),
	}
}

func TestAChangeIsJudgedByWhatHappensOnceItHasSettled(t *testing.T) { check(t, changes()) }

func changes() []trial {
	during := func(at int) func(*assertions.Record) {
		return func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, kept(served("w1", at)))
			r.Receipts = append(r.Receipts, receipt("w1", 15, at+1))
		}
	}
	unjudged := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, revocation, but, assertions.Inconclusive, assertions.Unjudged, why}
	}
	return []trial{
		{"refused ever since", revocation, nil, assertions.Blocked, assertions.Pass, "refused by bank"},
		{"served before it settled, in the budget", revocation, during(180), assertions.Blocked, assertions.Pass, ""},
		{"served after it settled", revocation, during(230), assertions.Breached, assertions.Fail, "31ms after the change had settled"},
		{"found late, served after it settled", revocation, func(r *assertions.Record) {
			r.Late = []attacker.Receipt{receipt("a2", 30, 241)}
		}, assertions.Breached, assertions.Fail, "found by the last sweep"},
		{"served in the window over its budget", revocation, func(r *assertions.Record) {
			r.Change.Budget = 50 * time.Millisecond
			during(180)(r)
		}, assertions.Leaked, assertions.Fail, "1 requests were served in the exposure window, the last 81ms after the change was requested; the budget is 50ms"},
		{"found late, served in the window over its budget", revocation, func(r *assertions.Record) {
			r.Change.Budget = 40 * time.Millisecond
			r.Late = []attacker.Receipt{receipt("a0", 30, 151)}
		}, assertions.Leaked, assertions.Fail, "51ms"},
		{"a leak that was measured and whose receipts are gone", revocation, func(r *assertions.Record) {
			r.Change.Window = assertions.Window{Served: 7, LastLeak: 4 * time.Second}
		}, assertions.Leaked, assertions.Fail, "7 requests were served"},
		{"a leak without controls", revocation, func(r *assertions.Record) {
			r.Change.Budget = 50 * time.Millisecond
			during(180)(r)
			r.Before, r.After = nil, nil
		}, assertions.Leaked, assertions.Fail, ""},
		{"a leak of a change that never settled", revocation, func(r *assertions.Record) {
			r.Change.Settled, r.Change.Error = time.Time{}, "out of time"
			during(3300)(r)
		}, assertions.Leaked, assertions.Fail, "3.201s after the change was requested"},
		unjudged("never settled, no leak over the budget", "apply policy never settled: out of time", func(r *assertions.Record) {
			r.Change.Settled, r.Change.Error = time.Time{}, "out of time"
			during(300)(r)
		}),
		unjudged("nobody saw it settle", "never settled: the mesh did not say when", func(r *assertions.Record) { r.Change.Settled = time.Time{} }),
		unjudged("nobody was refused", "no attempt was refused after the change", func(r *assertions.Record) { r.Tries.Observations = r.Tries.Observations[:2] }),
		unjudged("answered after it settled without a receipt", "answered (status 200), but neither", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, kept(served("w1", 260)))
		}),
		unjudged("refused from the start", "not served before the change", func(r *assertions.Record) { r.Receipts = r.Receipts[:4] }),
		unjudged("silent after it settled", "drop timeout", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, refused("w1", 260, attacker.LayerDrop, 0, "timeout"))
		}),
		unjudged("silent on the kept connection after it settled", "drop timeout", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, kept(refused("w1", 260, attacker.LayerDrop, 0, "timeout")))
		}),
		{"refused for another reason after it settled", revocation, func(r *assertions.Record) {
			r.Signals[2].Reason = "no_healthy_upstream"
		}, assertions.WrongRefusal, assertions.Fail, "no_healthy_upstream"},
		{"refused for another reason in the window only", revocation, func(r *assertions.Record) {
			r.Signals[0].Reason = "no_healthy_upstream"
		}, assertions.Blocked, assertions.Pass, ""},
		{"the end of the kept connection after a refusal", revocation, func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, kept(refused("w1", 260, attacker.LayerTCP, 0, "closed")))
		}, assertions.Blocked, assertions.Pass, ""},
		{"a refusal in the window and then the end of the kept connection", revocation, func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations[:3:3], kept(refused("w1", 260, attacker.LayerTCP, 0, "closed")))
		}, assertions.Blocked, assertions.Pass, ""},
		{"the end of a raw connection that a proxy calls a refusal", revocation, func(r *assertions.Record) {
			r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: "target", Layer: "tcp", Reason: denied}
			r.Change.Asked, r.Change.Settled = ms(5000), ms(5100)
			r.Tries.Observations = append(r.Tries.Observations[:2:2], kept(refused("w1", 5050, attacker.LayerTCP, 0, "closed")))
			s := denial("", 60)
			s.Layer, s.Status, s.Source, s.Seen = "tcp", 0, thiefAt, ms(5060)
			r.Signals = []signals.Signal{s}
		}, assertions.Blocked, assertions.Pass, "refused by bank: tcp"},
		unjudged("no more than the end of the kept connection", "tcp closed, and no proxy reported", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations[:2:2], kept(refused("w1", 150, attacker.LayerTCP, 0, "closed")))
		}),
		unjudged("the end of a fresh connection after it settled", "tcp closed, and no proxy reported", func(r *assertions.Record) {
			r.Tries.Observations = append(r.Tries.Observations, refused("w1", 260, attacker.LayerTCP, 0, "closed"))
		}),
		{"an attempt that is made when it has settled", revocation, func(r *assertions.Record) {
			r.Tries.Observations = r.Tries.Observations[3:4]
		}, assertions.Blocked, assertions.Pass, ""},
		{"no budget", revocation, func(r *assertions.Record) { r.Change.Budget = 0; during(180)(r) }, assertions.Blocked, assertions.Pass, ""},
	}
}

func TestATryThatIsMadeAgainHidesNothingOfTheFirst(t *testing.T) { check(t, retries()) }

func retries() []trial {
	first := func(change *assertions.Change, at int) func(*assertions.Record) {
		return func(r *assertions.Record) {
			c := call(assertions.RoleAttempt, "thief", served("b1", at))
			c.Change = change
			r.Earlier = []assertions.Call{c}
			r.Receipts = append(r.Receipts, receipt("b1", 9, at+1))
		}
	}
	was := &assertions.Change{What: "apply policy", Asked: ms(-900), Settled: ms(-800), Budget: 50 * time.Millisecond}
	return []trial{
		{"a receipt of the first try", hold, first(nil, -50), assertions.Breached, assertions.Fail, "receipt 9"},
		{"a late receipt of the first try", hold, func(r *assertions.Record) {
			first(nil, -50)(r)
			r.Receipts, r.Late = r.Receipts[:4], r.Receipts[4:]
		}, assertions.Breached, assertions.Fail, "found by the last sweep"},
		{"a receipt after the first change had settled", revocation, first(was, -700), assertions.Breached, assertions.Fail, "101ms after the change had settled"},
		{"a receipt in the window of the first change", revocation, first(was, -870), assertions.Blocked, assertions.Pass, ""},
		{"a leak of the first change", revocation, first(was, -840), assertions.Leaked, assertions.Fail, "the last 61ms after"},
		{"a first try of an older record", revocation, first(nil, -700), assertions.Blocked, assertions.Pass, ""},
		{"a first try that arrived when the second change had settled", revocation, first(nil, 300), assertions.Breached, assertions.Fail, ""},
		{"a first try that was not seen", hold, func(r *assertions.Record) {
			r.Earlier = []assertions.Call{call(assertions.RoleAttempt, "thief", refused("b1", -50, attacker.LayerDrop, 0, "timeout"))}
		}, assertions.Blocked, assertions.Pass, ""},
		{"a first try that won unseen, and an alert", theft, func(r *assertions.Record) {
			r.Earlier, r.Tries.Observations = []assertions.Call{r.Tries}, nil
		}, assertions.Breached, assertions.Gap, "detected"},
	}
}
