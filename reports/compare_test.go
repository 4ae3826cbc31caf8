package reports

import (
	"bytes"
	"slices"
	"testing"
)

// later is the sample on another provider, with one verdict that flips, one
// refusal that is another, and one attempt each that only one of the two has.
func later() Run {
	r := sample()
	r.Provider = "kind"
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		switch s.ID {
		case "certs/expired-leaf":
			s.Attempts[0].Reason = "another reason"
		case "token/jwt-absent-token":
			s.Attempts[0].Verdict, s.Attempts[0].Outcome, s.Attempts[0].Why = "breached", "fail", "receipt 7 at bank"
			s.Attempts = append(s.Attempts, Attempt{ID: "empty", Verdict: "blocked", Outcome: "pass"})
		}
	}
	r.Scenarios = slices.DeleteFunc(r.Scenarios, func(s Scenario) bool { return s.ID == "detection/sidecar-missing" })
	return r
}

func TestVerdictsOfTwoRunsStandSideBySide(t *testing.T) {
	var b bytes.Buffer
	flips, err := SideBySide(&b, sample(), later(), Page{})
	if err != nil || flips != 3 {
		t.Fatalf("%d flip, %v", flips, err)
	}
	golden(t, "compare.txt", b.Bytes())
}

func TestOnlyAVerdictThatBothGaveFlips(t *testing.T) {
	judged := Attempt{ID: "a", Verdict: "blocked", Outcome: "pass", Layer: "tls", Reason: "unknown_ca"}
	other, lost, not := judged, judged, judged
	other.Reason = "certificate_expired"
	lost.Verdict, lost.Outcome = "breached", "fail"
	not.Verdict, not.Outcome = "unsupported", "unsupported"
	run := func(all ...Attempt) Run { return Run{Scenarios: []Scenario{{ID: "s", Attempts: all}}} }
	for what, c := range map[string]struct {
		first, second Run
		differ, flips int
	}{
		"the same":              {run(judged), run(judged), 0, 0},
		"another refusal":       {run(judged), run(other), 1, 0},
		"cannot be shown there": {run(judged), run(not), 1, 0},
		"another verdict":       {run(judged), run(lost), 1, 1},
		"not in the second":     {run(judged), run(), 1, 1},
		"not in the first":      {run(), run(judged), 1, 1},
	} {
		differ, flips := 0, 0
		for _, p := range Pairs(c.first, c.second) {
			if p.Differs() {
				differ++
			}
			if p.Flips() {
				flips++
			}
		}
		if differ != c.differ || flips != c.flips {
			t.Errorf("%s: %d differ and %d flip, want %d and %d", what, differ, flips, c.differ, c.flips)
		}
	}
}
