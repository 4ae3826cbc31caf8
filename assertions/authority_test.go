package assertions_test

import (
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// relatedAt is the thief's end of its connection to the authority.
var relatedAt = netip.MustParseAddrPort("10.0.0.12:40001")

const unproven = "the token has been invalidated"

// asked is the record of a leaf that the authority did not give.
func asked() assertions.Record {
	r := hold()
	r.Expect = assertions.Expectation{Verdict: assertions.Blocked, By: "authority", Layer: signals.LayerCA, Reason: unproven, Code: 16}
	r.Tries.Observations[0].Refusal = &attacker.Refusal{Layer: attacker.LayerCA, Code: 16, Text: "request authenticate failure"}
	r.Signals = []signals.Signal{{At: ms(21), Workload: signals.FromAuthority, Inbound: true, Layer: signals.LayerCA, Source: thiefAt, Refused: true, Reason: unproven}}
	return r
}

func TestAnAuthorityIsASideThatRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*assertions.Record)
		want   assertions.Verdict
	}{
		"as named":            {func(*assertions.Record) {}, assertions.Blocked},
		"another reason":      {func(r *assertions.Record) { r.Signals[0].Reason = "expired" }, assertions.WrongRefusal},
		"another code":        {func(r *assertions.Record) { r.Tries.Observations[0].Refusal.Code = 7 }, assertions.WrongRefusal},
		"the target instead":  {func(r *assertions.Record) { r.Signals[0].Workload, r.Signals[0].Layer = "bank", "http" }, assertions.WrongRefusal},
		"it says nothing":     {func(r *assertions.Record) { r.Signals = nil }, assertions.Inconclusive},
		"it spoke of another": {func(r *assertions.Record) { r.Signals[0].Source = webAt }, assertions.Inconclusive},
		"it was not there": {func(r *assertions.Record) {
			r.Signals = nil
			r.Tries.Observations[0].Refusal = &attacker.Refusal{Layer: attacker.LayerTCP, Text: "refused"}
		}, assertions.Inconclusive},
		"it gave one, and the target refused it": {func(r *assertions.Record) {
			r.Expect = expectDenied()
			o := &r.Tries.Observations[0]
			o.Refusal = &attacker.Refusal{Layer: attacker.LayerHTTP, Code: 403, Text: "RBAC: access denied"}
			o.Related = []netip.AddrPort{relatedAt}
			r.Signals = []signals.Signal{
				{At: ms(20), Workload: signals.FromAuthority, Inbound: true, Layer: signals.LayerCA, Source: relatedAt, Identity: []string{"spiffe://x/thief"}},
				denial("a1", 21),
			}
		}, assertions.Blocked},
	} {
		t.Run(name, func(t *testing.T) {
			r := asked()
			c.change(&r)
			if f := assertions.Judge(r); f.Verdict != c.want {
				t.Errorf("%s (%s) instead of %s", f.Verdict, f.Why, c.want)
			}
		})
	}
}

func TestARefusalIsFoundByAnRelated(t *testing.T) {
	r := asked()
	r.Signals[0].Source = relatedAt
	if f := assertions.Judge(r); f.Verdict != assertions.Inconclusive {
		t.Errorf("%s without the relatedConnection: %s", f.Verdict, f.Why)
	}
	r.Tries.Observations[0].Related = []netip.AddrPort{relatedAt}
	if f := assertions.Judge(r); f.Verdict != assertions.Blocked {
		t.Errorf("%s: %s", f.Verdict, f.Why)
	}
}

func TestTheTwinsCertificateDetectsNoTheft(t *testing.T) {
	r := asked()
	twinAt := netip.MustParseAddrPort("10.0.0.12:40002")
	r.Expect = assertions.Expectation{Verdict: assertions.Breached, Gap: true, Alert: detectors.AlertForeignIssue}
	r.Tries = call(assertions.RoleAttempt, "thief", served("a1", 20))
	r.Tries.Observations[0].Related = []netip.AddrPort{relatedAt}
	r.Before[1].Observations[0].Related = []netip.AddrPort{twinAt}
	r.Receipts = append(r.Receipts, receipt("a1", 5, 21))
	of := func(at netip.AddrPort, n int) detectors.Alert {
		return detectors.Alert{At: ms(n), Kind: detectors.AlertForeignIssue, Source: at, Text: "issued to " + at.String()}
	}
	r.Alerts = []detectors.Alert{of(twinAt, 11)}
	if f := assertions.Judge(r); f.Outcome != assertions.GapUndetected {
		t.Errorf("%s by the alert of the twin: %s", f.Outcome, f.Why)
	}
	r.Alerts = append(r.Alerts, of(relatedAt, 20))
	if f := assertions.Judge(r); f.Outcome != assertions.Gap || f.Alert != "issued to "+relatedAt.String() {
		t.Errorf("%s: %s", f.Outcome, f.Alert)
	}
}

// A leaf that was asked for while a change was under way was in the window,
// however late it was shown; one that was asked for after it is a breach.
func TestALeafIsJudgedByWhenItWasAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		start    int
		related  []netip.AddrPort
		breached bool
	}{
		"asked for before it settled":     {95, []netip.AddrPort{relatedAt}, false},
		"asked for after it settled":      {105, []netip.AddrPort{relatedAt}, true},
		"nothing asked for, served after": {95, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := asked()
			r.Change = &assertions.Change{What: "delete", Asked: ms(10), Settled: ms(100)}
			o := r.Tries.Observations[0]
			o.Nonce, o.Refusal, o.Related, o.Start, o.End = "late", nil, c.related, ms(c.start), ms(150)
			r.Tries.Observations = append(r.Tries.Observations, o)
			x := receipt("late", 5, 140)
			r.Receipts = append(r.Receipts, x)
			if f := assertions.Judge(r); (f.Verdict == assertions.Breached) != c.breached {
				t.Errorf("%s: %s", f.Verdict, f.Why)
			}
		})
	}
}
