package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/reports"
)

// Where a kubelet runs what is submitted, what the mistakes let in has called the
// bank: its proof is a receipt there, and not the word of the API.
func TestWhatIsSubmittedOnKindLeavesAReceiptWhereItIsLetIn(t *testing.T) {
	if testing.Short() || !engine(t) {
		t.Skip("takes a container engine that has an image of a node, and minutes")
	}
	if docker(t, "image", "ls", "--quiet", "localhost/istio/proxyv2") == "" {
		t.Skip("takes images of Istio in the engine")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	dir := t.TempDir()
	run := exec.CommandContext(ctx, "meshbreach", "run", "--provider", "kind", "--mesh", "istio", "--parallel", "1",
		"--probe", os.Getenv(probeVariable), "--report-dir", dir, "governance/shared-sa", "provenance/ephemeral-debug")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stored, err := reports.Read(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	opened := map[string]int{}
	for _, s := range stored.Scenarios {
		for _, a := range s.Attempts {
			if a.Verdict != "blocked" {
				t.Errorf("%s %s: %s, %s", s.ID, a.ID, a.Verdict, a.Why)
			}
			for _, m := range a.Mutants {
				if m.Verdict != "breached" || m.Proof != "receipt" || !strings.Contains(m.Why, "at bank") {
					t.Errorf("%s %s under %s: %s by %s, %s", s.ID, a.ID, m.Misconfigure, m.Verdict, m.Proof, m.Why)
				}
				opened[s.ID+" "+a.ID]++
			}
		}
	}
	for _, attempt := range []string{"governance/shared-sa anothers-account", "governance/shared-sa default-account", "provenance/ephemeral-debug join-pod"} {
		if opened[attempt] != 1 {
			t.Errorf("%s was opened by %d mutants", attempt, opened[attempt])
		}
	}
}
