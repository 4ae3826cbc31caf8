package runner_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// upBudget is how long a mesh may take on a provider, in seconds, with its
// programs or images there.
func upBudget(provider, mesh string) float64 {
	return map[string]float64{"local+envoy": 3, "local+consul": 6, "local+istio": 15, "kind+istio": 90}[provider+"+"+mesh]
}

// catalogueBudget is how long the whole catalogue may take, in seconds.
func catalogueBudget(provider, mesh string) float64 {
	return map[string]float64{"local+envoy": 60, "kind+istio": 300}[provider+"+"+mesh]
}

// place is where a mesh is benchmarked, in words.
func place(mesh string) string { return *providerName + " + " + mesh }

// phases are the moments at which parts of a mesh began to be made.
type phases struct {
	runner.Progress
	began []time.Time
}

func (p *phases) Up(string) { p.began = append(p.began, time.Now()) }

// BenchmarkUp makes two warm ranges without a mesh, and with the one that
// -mesh names; where there are nodes, only the latter, and a cluster for it.
func BenchmarkUp(b *testing.B) {
	meshes := []string{"none"}
	if *providerName != builtin.Local {
		meshes = nil
	}
	if *meshName != "none" {
		meshes = append(meshes, *meshName)
	}
	for _, mesh := range meshes {
		var took, ground []float64
		b.Run(mesh, func(b *testing.B) {
			took, ground = nil, nil // b.Run may begin anew
			for b.Loop() {
				o := options(b, mesh, "lateral/unauth-service", "certs/expired-leaf")
				seen := &phases{}
				o.Progress = seen
				began := time.Now()
				bed, err := runner.NewBed(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began).Seconds())
				ground = append(ground, seen.began[1].Sub(began).Seconds())
				b.StopTimer()
				if err := bed.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		atMost(place(mesh)+" up, 2 ranges warm, median", quantile(took, 0.5), upBudget(*providerName, mesh), "s")
		atMost("of that until the mesh was begun, median", quantile(ground, 0.5), 0, "s")
	}
}

// BenchmarkCall is what a call of a probe takes over the stream that is kept,
// beside a command in its container a call, which is what kubectl exec does.
func BenchmarkCall(b *testing.B) {
	if *providerName == builtin.Local {
		b.Skip("provider local has no containers to run a command in")
	}
	bed, err := runner.NewBed(b.Context(), options(b, *meshName, "lateral/unauth-service"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := bed.Close(); err != nil {
			b.Error(err)
		}
	}()
	for _, way := range []struct {
		name string
		call func(context.Context) error
		each int // calls a loop, for a median
	}{{"a call over the kept stream", bed.Hello, 200}, {"a command in the container a call", bed.Exec, 20}} {
		var took []float64
		b.Run(strings.ReplaceAll(way.name, " ", "-"), func(b *testing.B) {
			took = nil // b.Run may begin anew
			for b.Loop() {
				for range way.each {
					began := time.Now()
					if err := way.call(b.Context()); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(began).Seconds()*1000)
				}
			}
		})
		atMost(way.name+", median", quantile(took, 0.5), 0, "ms")
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
			o.Hook = spending.watch
			run, err := runner.Run(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			took := run.Finished.Sub(run.Started).Seconds()
			if *providerName != builtin.Local { // where a cluster is made first
				took -= float64(run.UpTime)
			}
			whole = append(whole, took)
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
	scenario := 0.0
	if *meshName == "envoy" {
		scenario = 1
	}
	atMost("one scenario with mutants, median", quantile(each, 0.5), scenario, "s")
	atMost("one scenario with mutants, 95th percentile", quantile(each, 0.95), 0, "s")
	what := "whole catalogue on " + place(*meshName)
	if *providerName != builtin.Local {
		what += ", once it is up"
	}
	atMost(what+", median", quantile(whole, 0.5), catalogueBudget(*providerName, *meshName), "s")
	if asked := spending.requests(); asked > 0 {
		atMost("requests made of the platform's API by one run, most", float64(asked), 0, "")
	}
	atMost("honest requests lost, but for those that mutants lose", float64(lost), 0, "")
	atMost("harness memory, peak (VmHWM)", peak("self"), 300, "MB")
}
