package runner

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

const leakedLeaf = "CVE-2026-105765"

// vulnerable is a stored run on a release, with one attempt that won and more
// outcomes beside it.
func vulnerable(release string, others ...string) reports.Run {
	e := assertions.Expectation{
		Verdict: assertions.Breached, By: "authority", Layer: "ca", Reason: "Permission denied",
		CVE: &assertions.CVE{ID: leakedLeaf, Affected: ">=1.17.0 <=2.0.4"}, Because: "no look at the token",
	}
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	rec := assertions.Record{
		Scenario: "token/a", Attempt: "b", Target: "bank", Expect: e.For(release),
		Tries:    assertions.Call{Role: assertions.RoleAttempt, Observations: []attacker.Observation{{Nonce: "n1", Start: at, End: at, Reply: &attacker.Reply{Status: 200}}}},
		Receipts: []attacker.Receipt{{Nonce: "n1", Workload: "bank", Seq: 9, At: at, Method: "POST", Path: "/v1/charge"}},
	}
	s := reports.Scenario{ID: "token/a", Attempts: []reports.Attempt{tried{attempt: scenarios.Attempt{ID: "b"}, record: rec}.report()}}
	for _, outcome := range others {
		s.Attempts = append(s.Attempts, reports.Attempt{ID: outcome, Verdict: string(assertions.Skipped), Outcome: outcome})
	}
	r := reports.Run{Release: release, Scenarios: []reports.Scenario{s}}
	conclude(&r.Scenarios[0], nil)
	total(&r)
	return r
}

func TestAKnownCVEFailsTheRunUntilItIsAccepted(t *testing.T) {
	stored := vulnerable("1.22.3")
	if s := stored.Scenarios[0]; stored.Exit != 1 || s.Outcome != "known-cve" || s.Accepted || s.Attempts[0].CVE != leakedLeaf {
		t.Fatalf("exit %d, %+v", stored.Exit, s)
	}
	if len(stored.KnownCVEs) != 1 || stored.KnownCVEs[0].Accepted || stored.KnownCVEs[0].Attempts[0] != "token/a b" || stored.KnownCVEs[0].Why != "no look at the token" {
		t.Errorf("the list of known CVEs is %+v", stored.KnownCVEs)
	}
	if again, err := Rejudge(stored); err != nil || again.Exit != 1 {
		t.Errorf("judged again: exit %d, %v", again.Exit, err)
	}
	accepted, err := Rejudge(stored, leakedLeaf)
	if err != nil {
		t.Fatal(err)
	}
	if s := accepted.Scenarios[0]; accepted.Exit != 0 || s.Outcome != "known-cve" || !s.Accepted || !accepted.KnownCVEs[0].Accepted {
		t.Errorf("accepted: exit %d, %+v", accepted.Exit, s)
	}
	if len(stored.Accepted) != 0 || stored.Scenarios[0].Accepted {
		t.Error("the stored run was written into")
	}
	// What was accepted is in the report, and need not be said again.
	raw, err := json.Marshal(accepted)
	if err != nil {
		t.Fatal(err)
	}
	var read reports.Run
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	if again, err := Rejudge(read); err != nil || again.Exit != 0 || !again.Scenarios[0].Accepted {
		t.Errorf("read and judged again: exit %d, %v", again.Exit, err)
	}
	if other, err := Rejudge(stored, "CVE-2026-1000"); err != nil || other.Exit != 1 {
		t.Errorf("another CVE is accepted: exit %d, %v", other.Exit, err)
	}
}

func TestARunOnAReleaseWithoutTheCVEIsExcusedByNothing(t *testing.T) {
	got, err := Rejudge(vulnerable("2.1.0"), leakedLeaf)
	if err != nil || got.Exit != 1 || got.Scenarios[0].Outcome != "fail" || len(got.KnownCVEs) != 0 {
		t.Errorf("exit %d, %+v, %v", got.Exit, got.Scenarios[0], err)
	}
}

func TestAKnownCVEIsCountedBesideAnyOtherOutcome(t *testing.T) {
	for _, c := range []struct {
		other            string
		exit, acceptExit int
	}{{"pass", 1, 0}, {"inconclusive", 1, 3}, {"fail", 1, 1}} {
		stored := vulnerable("1.22.3", c.other)
		accepted, err := Rejudge(stored, leakedLeaf)
		if err != nil {
			t.Fatal(err)
		}
		if stored.Exit != c.exit || accepted.Exit != c.acceptExit || len(accepted.KnownCVEs) != 1 {
			t.Errorf("beside %s: exit %d, accepted %d, want %d and %d", c.other, stored.Exit, accepted.Exit, c.exit, c.acceptExit)
		}
	}
}

func TestAnAcceptedCVEDoesNotExcuseLostRequests(t *testing.T) {
	r := vulnerable("1.22.3")
	r.Scenarios[0].Load = &reports.Load{Requests: 50, Lost: 2, FirstLoss: "status 503"}
	got, err := Rejudge(r, leakedLeaf)
	if err != nil || got.Exit != 1 || got.Scenarios[0].Outcome != "fail" {
		t.Errorf("exit %d, %+v, %v", got.Exit, got.Scenarios[0], err)
	}
}
