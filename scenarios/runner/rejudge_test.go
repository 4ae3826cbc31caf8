package runner

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/meshbreach/meshbreach/reports"
)

// told is a stored run whose verdict its record does not bear out.
func told() reports.Run {
	return reports.Run{Scenarios: []reports.Scenario{{
		ID: "a/b", Outcome: "pass",
		Attempts: []reports.Attempt{{ID: "once", Verdict: "blocked", Outcome: "pass", Record: json.RawMessage(`{"expect":{"verdict":"blocked"}}`)}},
	}}, Totals: reports.Totals{Outcomes: map[string]int{"pass": 1}, Verdicts: map[string]int{"blocked": 1}}}
}

func TestRejudgingLeavesTheStoredRunAsItIs(t *testing.T) {
	stored := told()
	now, err := Rejudge(stored)
	if err != nil {
		t.Fatal(err)
	}
	if got := now.Scenarios[0].Attempts[0].Verdict; got != "inconclusive" {
		t.Errorf("an empty record is judged %s", got)
	}
	if !reflect.DeepEqual(stored, told()) {
		t.Errorf("the stored run was written into: %+v", stored)
	}
}

func TestAVerdictThatItsRecordDoesNotBearOutIsTold(t *testing.T) {
	_, differ, err := RejudgeAndCompare(told())
	if err != nil {
		t.Fatal(err)
	}
	if want := "a/b once: stored as blocked (pass), now inconclusive (inconclusive)"; len(differ) != 1 || differ[0] != want {
		t.Errorf("differ %q, want %q", differ, want)
	}
}
