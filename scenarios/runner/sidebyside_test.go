package runner_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// Two runs in one process share what two runs of the command line do not: its
// namespaces, its scratch, its memory.
func TestTwoRunsSideBySideDoNotSeeEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("makes two meshes of its own: make sweep")
	}
	var (
		wg      sync.WaitGroup
		planned [2]runner.Options
		runs    [2]reports.Run
		errs    [2]error
	)
	for i := range planned {
		planned[i] = options(t, *meshName, "lateral/unauth-service", "token/jwt-replayed-by-other-workload", "impersonation/svid-stolen-other-pod")
		planned[i].Parallel = 1
	}
	for i, o := range planned {
		wg.Go(func() { runs[i], errs[i] = runner.Run(t.Context(), o) })
	}
	wg.Wait()
	for i, run := range runs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		for _, s := range run.Scenarios {
			if s.Outcome != string(assertions.Pass) && s.Outcome != string(assertions.Gap) {
				t.Errorf("beside another run %s: %s %s", s.ID, s.Outcome, s.Why)
			}
		}
		record, err := json.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		// Every nonce begins with the id of its run.
		if own, other := planned[i].ID, planned[1-i].ID; !strings.Contains(string(record), own+"-r1-") || strings.Contains(string(record), other) {
			t.Errorf("the record of run %s says nothing of it, or something of run %s", own, other)
		}
	}
	if overlap := runs[0].Started.Before(runs[1].Finished) && runs[1].Started.Before(runs[0].Finished); !overlap {
		t.Error("the runs were not side by side")
	}
}
