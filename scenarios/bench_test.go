package scenarios_test

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/scenarios"
)

// upBudget is how long a mesh may take on provider local, in seconds, with its
// programs there.
func upBudget(mesh string) float64 {
	return map[string]float64{"envoy": 3, "consul": 6, "istio": 15}[mesh]
}

// BenchmarkUp makes two warm ranges without a mesh, and with the one that
// -mesh names.
func BenchmarkUp(b *testing.B) {
	meshes := []string{"none"}
	if *meshName != "none" {
		meshes = append(meshes, *meshName)
	}
	for _, mesh := range meshes {
		var took []float64
		b.Run(mesh, func(b *testing.B) {
			took = nil // b.Run may begin anew
			for b.Loop() {
				o := options(b, mesh, "lateral/unauth-service", "certs/expired-leaf")
				began := time.Now()
				bed, err := scenarios.NewBed(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began).Seconds())
				b.StopTimer()
				if err := bed.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		atMost("local + "+mesh+" up, 2 ranges warm, median", quantile(took, 0.5), upBudget(mesh), "s")
	}
}

// BenchmarkCatalogue plays every scenario with its mutants.
func BenchmarkCatalogue(b *testing.B) {
	var whole, each []float64
	var lost uint64
	b.Run(*meshName, func(b *testing.B) {
		whole, each = nil, nil
		for b.Loop() {
			o := options(b, *meshName)
			o.Meddle = spending.watch
			began := time.Now()
			run, err := scenarios.Run(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			whole = append(whole, time.Since(began).Seconds())
			spending.took(run)
			for _, s := range run.Scenarios {
				// What this mesh does not support takes no time.
				if s.Outcome != string(assertions.NotApplicable) {
					each = append(each, float64(s.Took))
				}
			}
			lost += run.Totals.HonestLost - run.Totals.ExpectedLost
			if run.Exit != 0 {
				b.Logf("the run ended with exit code %d: %v", run.Exit, run.Totals.Outcomes)
			}
		}
		b.ReportMetric(quantile(each, 0.5), "s/scenario-median")
		b.ReportMetric(quantile(each, 0.95), "s/scenario-p95")
		b.ReportMetric(peak("self"), "MB-peak")
	})
	scenario, all := 0.0, 0.0
	if *meshName == "envoy" {
		scenario, all = 1, 60
	}
	atMost("one scenario with mutants, median", quantile(each, 0.5), scenario, "s")
	atMost("one scenario with mutants, 95th percentile", quantile(each, 0.95), 0, "s")
	atMost("whole catalogue on local + "+*meshName+", median", quantile(whole, 0.5), all, "s")
	atMost("honest requests lost, but for those that mutants lose", float64(lost), 0, "")
	atMost("harness memory, peak (VmHWM)", peak("self"), 300, "MB")
}
