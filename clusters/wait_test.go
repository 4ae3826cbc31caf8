package clusters_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

func TestWhatIsWaitedForIsToldEveryTenSecondsUntilItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		note := func(line string) { told = append(told, line) }
		ctx, stop := clusters.ReportWaits(t.Context(), note)
		inner, stopInner := clusters.ReportWaits(ctx, note) // somebody is told already
		bank := clusters.StartWait(inner, "the sidecar of bank in r1")
		bank.Pending("Listener")
		<-time.After(4 * time.Second)
		server := clusters.StartWait(ctx, "a leader of consul-r1")
		<-time.After(7 * time.Second)
		bank.Pending("Cluster", "Secret")
		server.Done()
		<-time.After(10 * time.Second)
		bank.Done()
		<-time.After(20 * time.Second)
		stopInner()
		stop()
		stop()
		want := []string{
			"waiting for the sidecar of bank in r1 (10s so far): Listener; a leader of consul-r1 (6s so far)",
			"waiting for the sidecar of bank in r1 (20s so far): Cluster, Secret",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestALineNamesAFewWaitsAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		ctx, stop := clusters.ReportWaits(t.Context(), func(line string) { told = append(told, line) })
		for _, what := range []string{"a", "b", "c", "d", "e", "f"} {
			defer clusters.StartWait(ctx, what).Done()
		}
		<-time.After(10 * time.Second)
		stop()
		want := "waiting for a (10s so far); b (10s so far); c (10s so far); d (10s so far); and 2 more"
		if len(told) != 1 || told[0] != want {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestWhereNobodyIsToldAWaitStillKnowsWhatIsMissing(t *testing.T) {
	ctx, stop := clusters.ReportWaits(t.Context(), nil)
	defer stop()
	w := clusters.StartWait(ctx, "anything")
	defer w.Done()
	w.Pending("Listener", "Cluster")
	if got := w.Missing(); got != "Listener, Cluster" {
		t.Errorf("missing %q", got)
	}
}
