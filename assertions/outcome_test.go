package assertions_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
)

func TestAGapHasToBeDetectedAndOnlyForTheAttack(t *testing.T) { check(t, gaps()) }

func gaps() []trial {
	detected := func(name string, but func(*assertions.Record)) trial {
		return trial{name, theft, but, assertions.Breached, assertions.Gap, "detected: "}
	}
	undetected := func(name string, but func(*assertions.Record)) trial {
		return trial{name, theft, but, assertions.Breached, assertions.GapUndetected, "no alert " + detectors.AlertForeignAddress}
	}
	alert := func(change func(*detectors.Alert)) func(*assertions.Record) {
		return func(r *assertions.Record) { change(&r.Alerts[0]) }
	}
	port := func(at netip.AddrPort, p uint16) netip.AddrPort { return netip.AddrPortFrom(at.Addr(), p) }
	return []trial{
		detected("an alert by nonce", nil),
		detected("an alert by address and port", alert(func(a *detectors.Alert) { a.Nonce = "" })),
		detected("an alert by address, from a proxy's own port", alert(func(a *detectors.Alert) { a.Nonce, a.Source = "", port(thiefAt, 1) })),
		detected("an alert without words", alert(func(a *detectors.Alert) { a.Text = "" })),
		detected("an alert about the state of the mesh, older than the attack", alert(func(a *detectors.Alert) { a.Nonce, a.Source, a.At = "", netip.AddrPort{}, ms(-9000) })),
		detected("an alert in the time that is given", func(r *assertions.Record) {
			r.Expect.Within = attacker.Duration(5 * time.Second)
			r.Alerts[0].At = ms(4000)
		}),
		detected("an alert by the twin, which is as foreign", func(r *assertions.Record) {
			r.Alerts = append(r.Alerts, detectors.Alert{At: ms(11), Kind: detectors.AlertForeignAddress, Nonce: "t1"})
		}),
		undetected("no alert", func(r *assertions.Record) { r.Alerts = nil }),
		undetected("an alert of another kind", alert(func(a *detectors.Alert) { a.Kind = detectors.AlertUnselected })),
		undetected("an alert too late", alert(func(a *detectors.Alert) { a.At = ms(2100) })),
		undetected("an alert of long before", alert(func(a *detectors.Alert) { a.At = ms(-1500) })),
		undetected("an alert about another's request", alert(func(a *detectors.Alert) { a.Nonce = "x1" })),
		undetected("an alert about another address", alert(func(a *detectors.Alert) { a.Nonce, a.Source = "", netip.MustParseAddrPort("10.0.0.99:1") })),
		undetected("an alert about an address that the friend calls from too", func(r *assertions.Record) {
			r.Alerts[0].Nonce, r.Alerts[0].Source = "", port(thiefAt, 1)
			r.Before[0].Observations[0].Local = port(thiefAt, 2)
		}),
		undetected("an alert for an earlier try that did not win", func(r *assertions.Record) {
			r.Earlier = []assertions.Call{call(assertions.RoleAttempt, "thief", refused("b1", 15, attacker.LayerDrop, 0, "timeout"))}
			r.Alerts[0].Nonce = "b1"
		}),
		undetected("no alert is named", func(r *assertions.Record) { r.Expect.Alert = ""; r.Alerts[0].Kind = "" }).ending("; no alert "),
		{"an alert too late for its try in a long series", theft, func(r *assertions.Record) {
			r.Alerts[0].At = ms(3000)
			r.Tries.Observations = append(r.Tries.Observations, served("a2", 2999))
		}, assertions.Breached, assertions.GapUndetected, "no alert"},

		{"an alert for the control", theft, alert(func(a *detectors.Alert) { a.Nonce = "c1" }), assertions.Breached, assertions.Fail, "the honest control raised " + detectors.AlertForeignAddress},
		{"alerts for both", theft, func(r *assertions.Record) {
			r.Alerts = append(r.Alerts, detectors.Alert{At: ms(31), Kind: detectors.AlertForeignAddress, Nonce: "c2"})
		}, assertions.Breached, assertions.Fail, "the honest follow-up check raised"},
		{"an alert for the friend's address", theft, alert(func(a *detectors.Alert) { a.Nonce, a.Source = "", port(webAt, 1) }), assertions.Breached, assertions.Fail, "the honest control raised"},
		{"an alert while no honest call was served", theft, func(r *assertions.Record) { r.Before, r.After = nil, nil }, assertions.Breached, assertions.Unjudged, "honest traffic may raise it too"},
		{"a gap that no detector can see", theft, func(r *assertions.Record) {
			r.Alerts, r.Expect.Alert, r.Expect.Silent, r.Expect.Because = nil, "", true, "it leaves no trace"
		}, assertions.Breached, assertions.Gap, "no detector can see it: it leaves no trace"},
		{"a gap that is closed now", hold, func(r *assertions.Record) { r.Expect.Verdict, r.Expect.Gap = assertions.Breached, true }, assertions.Blocked, assertions.Changed, "expected to succeed"},
		{"a gap that could not be told", theft, func(r *assertions.Record) { r.Receipts = nil }, assertions.Inconclusive, assertions.Unjudged, ""},
	}
}

// ending is the trial with another reason.
func (c trial) ending(why string) trial { c.why = why; return c }

func TestHonestLoadHasToRunThroughTheChange(t *testing.T) { check(t, disturbances()) }

func disturbances() []trial {
	unjudged := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, rotation, but, assertions.Inconclusive, assertions.Unjudged, why}
	}
	disrupted := func(name, why string, but func(*assertions.Record)) trial {
		return trial{name, rotation, but, assertions.Disrupted, assertions.Fail, why}
	}
	lose := func(r *assertions.Record) { r.Load.Lost, r.Load.Served = 2, 238 }
	return []trial{
		{"nothing lost", rotation, nil, assertions.Undisturbed, assertions.Pass, "240 honest requests served, none lost"},
		disrupted("requests lost", "2 of 240 honest requests lost, the first: status 503", func(r *assertions.Record) {
			lose(r)
			r.Load.Losses = []attacker.Loss{{Why: "status 503"}, {Why: "status 404"}}
		}),
		disrupted("requests lost for a reason that is gone", "the first: reason not recorded", lose),
		disrupted("requests lost although all used kept connections", "2 of 240", func(r *assertions.Record) { lose(r); r.Load.FreshSent = 0 }),
		unjudged("no load", "no honest load ran", func(r *assertions.Record) { r.Load = nil }),
		unjudged("a load without requests", "no honest load ran", func(r *assertions.Record) { r.Load.Requests = 0 }),
		unjudged("no change", "nothing was changed", func(r *assertions.Record) { r.Change = nil }),
		unjudged("a change that did not settle", "rotate leaf never settled: out of time", func(r *assertions.Record) { r.Change.Error = "out of time" }),
		unjudged("a change that nobody saw settle", "never settled", func(r *assertions.Record) { r.Change.Settled = time.Time{} }),
		unjudged("a load that began too late", "did not span the change", func(r *assertions.Record) { r.Load.Start = ms(201) }),
		unjudged("a load that ended too early", "did not span the change", func(r *assertions.Record) { r.Load.End = ms(899) }),
		unjudged("no fresh connections", "both fresh and kept", func(r *assertions.Record) { r.Load.FreshSent = 0 }),
		unjudged("no kept connections", "both fresh and kept", func(r *assertions.Record) { r.Load.KeptSent = 0 }),
		unjudged("requests neither served nor lost", "only 200 of 240", func(r *assertions.Record) { r.Load.Served = 200 }),
		unjudged("a fault", "restore: out of time", func(r *assertions.Record) { r.Fault = "restore: out of time" }),
	}
}

func TestWhatIsUnsupportedIsNeitherPassNorFail(t *testing.T) { check(t, others()) }

func others() []trial {
	return []trial{
		{"the scenario says so", hold, func(r *assertions.Record) {
			r.Expect = assertions.Expectation{Verdict: assertions.Unsupported, Because: "nothing here has certificates"}
		}, assertions.Unsupported, assertions.NotApplicable, "nothing here has certificates"},
		{"a capability is missing", hold, func(r *assertions.Record) { r.Missing = []string{"tokens"} }, assertions.Unsupported, assertions.NotApplicable, "the mesh lacks [tokens]"},
		{"nothing was expected", hold, func(r *assertions.Record) { r.Expect.Verdict = "" }, assertions.Blocked, assertions.Fail, ""},
		{"an empty record", func() assertions.Record { return assertions.Record{} }, nil, assertions.Inconclusive, assertions.Unjudged, "no attempt was made"},
	}
}

func TestAMutantOpensWhatItIsFor(t *testing.T) {
	open := func(of func() assertions.Record, but func(*assertions.Record)) bool {
		r := trial{of: of, but: but}.record()
		return assertions.Opened(r, assertions.Judge(r))
	}
	breach := func(r *assertions.Record) { r.Receipts = append(r.Receipts, receipt("a1", 9, 21)) }
	for _, c := range []struct {
		name string
		got  bool
		want bool
	}{
		{"a block that is breached", open(hold, breach), true},
		{"a block that is breached without controls", open(hold, func(r *assertions.Record) { breach(r); r.Before, r.After = nil, nil }), true},
		{"a block that holds", open(hold, nil), false},
		{"a block that is wrong-refusal", open(hold, func(r *assertions.Record) { r.Expect.Code = 401 }), false},
		{"a block that cannot be told", open(hold, func(r *assertions.Record) { r.Signals = nil }), false},
		{"a gap that is not detected", open(theft, func(r *assertions.Record) { r.Alerts = nil }), true},
		{"a gap that is detected", open(theft, nil), false},
		{"a gap that is detected without controls", open(theft, func(r *assertions.Record) { r.Before, r.After = nil, nil }), false},
		{"a known CVE that is not detected", open(cached, func(r *assertions.Record) { r.Alerts = nil }), true},
		{"a known CVE that is detected", open(cached, nil), false},
		{"a change that disrupts", open(rotation, func(r *assertions.Record) { r.Load.Lost = 1 }), true},
		{"a change that does not disrupt", open(rotation, nil), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: opened %t, want %t", c.name, c.got, c.want)
		}
	}
}

func TestTheWorstOutcomeIsTheScenarios(t *testing.T) {
	order := []assertions.Outcome{
		assertions.Fail, assertions.Invalid, assertions.Changed, assertions.GapUndetected, assertions.Unjudged,
		assertions.KnownCVE, assertions.Gap, assertions.Pass, assertions.OutcomeSkipped, assertions.NotApplicable,
	}
	for i, worse := range order {
		for _, better := range order[i:] {
			for _, all := range [][]assertions.Outcome{{worse, better}, {better, worse}, {better, better, worse}} {
				if got := assertions.Worst(all...); got != worse {
					t.Errorf("worst of %s: %s, want %s", all, got, worse)
				}
			}
		}
	}
	for _, all := range [][]assertions.Outcome{nil, {"great"}, {assertions.Pass, "great"}, {""}} {
		if got := assertions.Worst(all...); got != assertions.Unjudged {
			t.Errorf("worst of %q: %s", all, got)
		}
	}
}

func TestTheExitCodeSaysWhatTheRunProved(t *testing.T) {
	for _, c := range []struct {
		all  []assertions.Outcome
		want int
	}{
		{[]assertions.Outcome{assertions.Pass, assertions.Gap, assertions.NotApplicable, assertions.OutcomeSkipped}, 0},
		{[]assertions.Outcome{assertions.Pass, assertions.Fail}, 1},
		{[]assertions.Outcome{assertions.Unjudged, assertions.Invalid}, 1},
		{[]assertions.Outcome{assertions.Changed}, 1},
		{[]assertions.Outcome{assertions.Unjudged, assertions.KnownCVE, assertions.Pass}, 1},
		{[]assertions.Outcome{assertions.GapUndetected, assertions.Pass}, 1},
		{[]assertions.Outcome{assertions.Pass, assertions.Unjudged}, 3},
		{[]assertions.Outcome{assertions.Unjudged, assertions.Pass}, 3},
		{[]assertions.Outcome{assertions.NotApplicable, assertions.OutcomeSkipped}, 3},
		{[]assertions.Outcome{assertions.Pass, "great"}, 3},
		{nil, 3},
	} {
		if got := assertions.Exit(c.all); got != c.want {
			t.Errorf("exit of %q: %d, want %d", c.all, got, c.want)
		}
	}
}

func TestAWindowIsMeasuredFromTheMomentTheChangeWasAskedFor(t *testing.T) {
	seen := []attacker.Observation{
		served("s", 90), served("w", 120), refused("d", 130, attacker.LayerHTTP, 403, ""), served("l", 140), refused("e", 150, attacker.LayerHTTP, 403, ""), served("n", 210),
	}
	var all []attacker.Receipt
	for i, at := range []int{91, 121, 141, 211} {
		all = append(all, receipt("s", uint64(i), at))
	}
	got := assertions.Measure(ms(100), ms(200), seen, all)
	want := assertions.Window{Tries: 4, Served: 2, FirstDenial: 32 * time.Millisecond, LastLeak: 41 * time.Millisecond, Late: 1}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	slices.Reverse(all) // receipts come from several workloads, in any order
	if got := assertions.Measure(ms(100), ms(200), seen, all); got != want {
		t.Errorf("in another order: %+v, want %+v", got, want)
	}
	open := assertions.Measure(ms(100), time.Time{}, seen, all)
	if open.Tries != 5 || open.Served != 3 || open.LastLeak != 111*time.Millisecond {
		t.Errorf("a change that never settled: %+v", open)
	}
	none := assertions.Measure(ms(1000), ms(2000), seen, all)
	if none != (assertions.Window{FirstDenial: -1, LastLeak: -1}) {
		t.Errorf("nothing seen: %+v", none)
	}
}
