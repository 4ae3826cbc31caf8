package assertions_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters/detectors"
)

func leakedLeaf() *assertions.CVE {
	return &assertions.CVE{ID: "CVE-2026-105765", Affected: ">=1.17.0 <=2.0.4", Patched: []string{"1.21.19+ent"}}
}

// cached is theft by a known CVE.
func cached() assertions.Record {
	r := theft()
	r.Expect = assertions.Expectation{
		Verdict: assertions.Breached, CVE: leakedLeaf(), Alert: detectors.AlertForeignAddress, Because: "the cache asks for no token",
		By: "target", Layer: "http", Reason: denied, Code: 403,
	}
	return r
}

func TestACVEAffectsARangeOfReleases(t *testing.T) {
	for release, want := range map[string]bool{
		"1.16.9": false, "1.17.0": true, "1.22.3": true, "v1.22.3": true, "2.0.4": true, "2.0.5": false, "2.1.0": false,
		"1.21.18+ent": true, "1.21.19+ent": false, "1.21.20+ent": false, "1.21.19": true, "1.22.0+ent": true,
		"": false, "main": false, "1.22.0-rc1": false,
	} {
		if got := leakedLeaf().Affects(release); got != want {
			t.Errorf("%q: affected %t, want %t", release, got, want)
		}
	}
	if (assertions.CVE{ID: "CVE-2026-1000", Affected: "all"}).Affects("1.0.0") {
		t.Error("what nobody can read affects a release")
	}
}

func TestACVEHasAnIDAndRanges(t *testing.T) {
	if err := leakedLeaf().Check(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]assertions.CVE{
		"an id":    {ID: "CVE-26-1", Affected: ">=1.0.0"},
		"a range":  {ID: "CVE-2026-1000", Affected: "older ones"},
		"no range": {ID: "CVE-2026-1000"},
		"a patch":  {ID: "CVE-2026-1000", Affected: ">=1.0.0", Patched: []string{"1.21"}},
	} {
		if c.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAReleaseThatTheCVEDoesNotAffectHasToRefuse(t *testing.T) {
	e := cached().Expect
	if got := e.For("1.22.3"); got.CVE == nil || got.Verdict != assertions.Breached || got.String() != "known-cve" || !got.Detected() {
		t.Errorf("affected: %+v", got)
	}
	want := assertions.Expectation{Verdict: assertions.Blocked, By: "target", Layer: "http", Reason: denied, Code: 403}
	if got := e.For("2.1.0"); got != want {
		t.Errorf("fixed: %+v, want %+v", got, want)
	}
	if got := want.For("2.1.0"); got != want {
		t.Errorf("without a CVE: %+v", got)
	}
}

func TestAnAttemptThatWinsByAKnownCVEIsSaidToBe(t *testing.T) {
	check(t, []trial{
		{"detected", cached, nil, assertions.Breached, assertions.KnownCVE, "CVE-2026-105765 affects releases >=1.17.0 <=2.0.4: the cache asks for no token; detected: web came"},
		{"not detected", cached, func(r *assertions.Record) { r.Alerts = nil }, assertions.Breached, assertions.KnownCVE, "no token; no alert identity-at-foreign-address"},
		{"no detector and no reason", cached, func(r *assertions.Record) { r.Alerts, r.Expect.Alert, r.Expect.Because = nil, "", "" },
			assertions.Breached, assertions.KnownCVE, "affects releases >=1.17.0 <=2.0.4"},
		{"an alert, and nobody honest to compare with", cached, func(r *assertions.Record) { r.Before, r.After = nil, nil }, assertions.Breached, assertions.KnownCVE, "the cache asks for no token"},
		{"a false alarm", cached, func(r *assertions.Record) { r.Alerts[0].Nonce = "c1" }, assertions.Breached, assertions.Fail, "the honest control raised"},
		{"fixed, and it wins", cached, func(r *assertions.Record) { r.Expect = r.Expect.For("2.1.0") }, assertions.Breached, assertions.Fail, ""},
		{"fixed, and it is refused", hold, func(r *assertions.Record) { r.Expect = cached().Expect.For("2.1.0") }, assertions.Blocked, assertions.Pass, ""},
		{"affected, and it is refused", hold, func(r *assertions.Record) { r.Expect = cached().Expect }, assertions.Blocked, assertions.Changed, "expected to succeed, but did not"},
	})
}
