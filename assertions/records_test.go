package assertions_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// ms is a moment: so many milliseconds after the record began.
func ms(n int) time.Time {
	return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

const denied = "rbac_access_denied_matched_policy[none]"

var (
	thiefAt = netip.MustParseAddrPort("10.0.0.12:40000")
	webAt   = netip.MustParseAddrPort("10.0.0.10:41000")
)

// expectDenied is what a scenario says of a thief.
func expectDenied() assertions.Expectation {
	return assertions.Expectation{Verdict: assertions.Blocked, By: "target", Layer: "http", Reason: denied, Code: 403}
}

func served(nonce string, at int) attacker.Observation {
	return attacker.Observation{
		Nonce: nonce, Start: ms(at), End: ms(at + 2), Local: thiefAt, Seen: attacker.Replied, Connection: attacker.Fresh,
		Reply: &attacker.Reply{Status: 200},
	}
}

func refused(nonce string, at int, layer attacker.Layer, code int, text string) attacker.Observation {
	o := served(nonce, at)
	o.Reply, o.Refusal = nil, &attacker.Refusal{Layer: layer, Code: code, Text: text}
	return o
}

func receipt(nonce string, seq uint64, at int) attacker.Receipt {
	return attacker.Receipt{Epoch: "e1", Seq: seq, At: ms(at), Workload: "bank", Nonce: nonce, Port: 8080, Protocol: "HTTP/1.1", Method: "POST", Path: "/v1/charge"}
}

func call(role, from string, os ...attacker.Observation) assertions.Call {
	if from == "web" {
		for i := range os {
			os[i].Local = webAt
		}
	}
	return assertions.Call{Role: role, From: from, Attack: "http-request", Observations: os}
}

// denial is the signal of a try that the bank's proxy refused.
func denial(nonce string, at int) signals.Signal {
	return signals.Signal{At: ms(at), Seen: ms(at + 15), Workload: "bank", Inbound: true, Layer: "http", Nonce: nonce, Status: 403, Refused: true, Reason: denied}
}

// hold is the record of an attempt that was blocked as expected. Every table
// changes one thing of it.
func hold() assertions.Record {
	return assertions.Record{
		Scenario: "lateral/unauth-service", Attempt: "once", Mesh: "envoy", Target: "bank",
		Expect:   expectDenied(),
		Breach:   assertions.Breach{ReceiptAt: "target", Route: "/v1/charge"},
		Apply:    &assertions.Change{What: "apply policy", Asked: ms(-200), Settled: ms(-100)},
		Before:   []assertions.Call{call(assertions.RoleControl, "web", served("c1", 0)), call(assertions.RoleTwin, "thief", served("t1", 10))},
		Tries:    call(assertions.RoleAttempt, "thief", refused("a1", 20, attacker.LayerHTTP, 403, "RBAC: access denied")),
		After:    []assertions.Call{call(assertions.RoleFence, "web", served("c2", 30)), call(assertions.RoleTwin, "thief", served("t2", 40))},
		Receipts: []attacker.Receipt{receipt("c1", 1, 1), receipt("t1", 2, 11), receipt("c2", 3, 31), receipt("t2", 4, 41)},
		Signals:  []signals.Signal{denial("a1", 21)},
	}
}

// revocation is the record of a thief who calls all the while on a kept
// connection, asked at 100 ms, settled at 200: served before, then refused.
func revocation() assertions.Record {
	r := hold()
	r.Scenario, r.Attempt = "lateral/policy-change-live", "kept-http1"
	r.Change = &assertions.Change{What: "apply policy", Asked: ms(100), Settled: ms(200), Budget: 3 * time.Second}
	r.Tries.Observations, r.Signals = nil, nil
	for i, at := range []int{60, 80} {
		n := fmt.Sprintf("s%d", i)
		r.Tries.Observations = append(r.Tries.Observations, kept(served(n, at)))
		r.Receipts = append(r.Receipts, receipt(n, uint64(10+i), at+1))
	}
	for i, at := range []int{150, 220, 240} {
		n := fmt.Sprintf("a%d", i)
		r.Tries.Observations = append(r.Tries.Observations, kept(refused(n, at, attacker.LayerHTTP, 403, "")))
		r.Signals = append(r.Signals, denial(n, at+1))
	}
	r.After = []assertions.Call{call(assertions.RoleFence, "web", served("c2", 300)), call(assertions.RoleTwin, "thief", served("t2", 310))}
	r.Receipts[2], r.Receipts[3] = receipt("c2", 20, 301), receipt("t2", 21, 311)
	return r
}

func kept(o attacker.Observation) attacker.Observation {
	o.Connection = "kept-1"
	return o
}

// theft is the record of a stolen identity that is used, which no mesh stops
// and a detector sees.
func theft() assertions.Record {
	r := hold()
	r.Scenario, r.Attempt = "impersonation/svid-stolen-other-pod", "copied-leaf"
	r.Expect = assertions.Expectation{Verdict: assertions.Breached, Gap: true, Alert: detectors.AlertForeignAddress}
	r.Tries.Observations[0] = served("a1", 20)
	r.Receipts = append(r.Receipts, receipt("a1", 9, 21))
	r.Signals = nil
	r.Alerts = []detectors.Alert{{At: ms(21), Kind: detectors.AlertForeignAddress, Nonce: "a1", Source: thiefAt, Text: "web came from 10.0.0.12"}}
	return r
}

// rotation is the record of a change that honest load ran through.
func rotation() assertions.Record {
	return assertions.Record{
		Scenario: "certs/rotation-under-load", Attempt: "leaf-thrice", Mesh: "envoy", Target: "bank",
		Expect: assertions.Expectation{Verdict: assertions.Undisturbed},
		Change: &assertions.Change{What: "rotate leaf", Asked: ms(200), Settled: ms(900)},
		Load:   &attacker.LoadResult{Start: ms(0), End: ms(1200), Requests: 240, Served: 240, FreshSent: 120, KeptSent: 120},
	}
}

// A trial is a record and what it has to be judged as.
type trial struct {
	name    string // a sentence
	of      func() assertions.Record
	but     func(*assertions.Record)
	verdict assertions.Verdict
	outcome assertions.Outcome
	why     string // part of the reason
}

func (c trial) record() assertions.Record {
	r := c.of()
	if c.but != nil {
		c.but(&r)
	}
	return r
}

func check(t *testing.T, cases []trial) {
	t.Helper()
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			f := assertions.Judge(c.record())
			if f.Verdict != c.verdict || f.Outcome != c.outcome || !strings.Contains(f.Why, c.why) {
				t.Errorf("%s, %s: %s\nwant %s, %s with %q", f.Verdict, f.Outcome, f.Why, c.verdict, c.outcome, c.why)
			}
		})
	}
}

// trials are those of all tables.
func trials() []trial {
	var out []trial
	for _, table := range [][]trial{breaches(), enclosures(), refusals(), joins(), changes(), retries(), gaps(), disturbances(), others(), replies(), afterwards()} {
		out = append(out, table...)
	}
	return out
}
