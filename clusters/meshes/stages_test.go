package meshes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// stage says which it is.
type stage string

func (s stage) Apply(context.Context, policy.Policy) (clusters.Revision, error) {
	return clusters.Revision{ID: string(s)}, nil
}

func (s stage) Settled(_ context.Context, rev clusters.Revision) error {
	if rev.ID != string(s) {
		return errors.New("not " + string(s))
	}
	return nil
}

func (s stage) Evidence(context.Context, signals.Query) []signals.Signal {
	return []signals.Signal{{Raw: string(s)}}
}

func TestEveryRangeHasItsOwnStageAndNoOther(t *testing.T) {
	all := meshes.Stages[stage]{"r1": "one", "r2": "two"}
	r := clusters.Range{Name: "r2"}
	rev, err := all.Apply(t.Context(), r, policy.Policy{})
	if err != nil || rev.ID != "two" {
		t.Errorf("%+v %v", rev, err)
	}
	if err := all.Settled(t.Context(), r, rev); err != nil {
		t.Error(err)
	}
	if err := all.Settled(t.Context(), clusters.Range{Name: "r1"}, rev); err == nil {
		t.Error("the revision of another range is settled")
	}
	if found, err := all.Evidence(t.Context(), r, signals.Query{}); err != nil || len(found) != 1 || found[0].Raw != "two" {
		t.Errorf("%+v %v", found, err)
	}
	nowhere := clusters.Range{Name: "r3"}
	_, applied := all.Apply(t.Context(), nowhere, policy.Policy{})
	_, seen := all.Evidence(t.Context(), nowhere, signals.Query{})
	for _, err := range []error{applied, seen, all.Settled(t.Context(), nowhere, rev)} {
		if err == nil || err.Error() != "no range r3 in this mesh" {
			t.Errorf("a range that is not there: %v", err)
		}
	}
}

// proxy is beside whoever has its name.
type proxy string

func (p proxy) Beside() clusters.Workload { return clusters.Workload{Name: string(p), Meshed: true} }

func TestThoseWhoServeAreLastAndAllOthersKeepTheirOrder(t *testing.T) {
	all := []proxy{"web", "bank", "thief", "staging/web"}
	if got, want := meshes.CallersFirst(all), []proxy{"web", "thief", "staging/web", "bank"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s, ok := meshes.SidecarOf(clusters.Workload{Name: "thief"}, all); !ok || s != "thief" {
		t.Errorf("the thief's is %q, %t", s, ok)
	}
	if s, ok := meshes.SidecarOf(clusters.Workload{Name: "outsider"}, all); ok {
		t.Errorf("the outsider has %q", s)
	}
}

func TestATurnIsHadByOneAtATime(t *testing.T) {
	turn := meshes.NewTurn()
	done, err := turn.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turn.Take(short); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another settling") {
		t.Errorf("a second one: %v", err)
	}
	done()
	if _, err := turn.Take(t.Context()); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

// The next one had the turn by chance, or was told of a settling that had ended
// long ago, when its own time was up by the time it asked.
func TestAFreeTurnIsNeverSomebodyElses(t *testing.T) {
	turn := meshes.NewTurn()
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		done, err := turn.Take(late)
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
}

func TestAllAreWaitedForAndNoErrorHidesAnother(t *testing.T) {
	started := make(chan struct{})
	err := meshes.Each([]string{"web", "bank", "thief"}, func(name string) error {
		switch name {
		case "web":
			close(started)
		case "bank":
			<-started // only when they run at once
			return nil
		}
		return errors.New(name)
	})
	if err == nil || err.Error() != "web\nthief" {
		t.Errorf("%v", err)
	}
}

func TestAProxyThatIsNotWholeMakesItsErrorOneOfNotBeingReady(t *testing.T) {
	whole, broken := func(context.Context) error { return nil }, func(ctx context.Context) error {
		if ctx.Err() != nil {
			t.Error("the time to settle has run out, and so the proxy was not asked")
		}
		return errors.New("a cluster warms")
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	unsettled := errors.New("still missing: a rule")
	if err := meshes.OrNotReady(late, nil, broken); err != nil {
		t.Errorf("what settled is an error: %v", err)
	}
	if err := meshes.OrNotReady(late, unsettled, whole); !errors.Is(err, unsettled) || meshes.IsNotReady(err) {
		t.Errorf("a whole proxy: %v", err)
	}
	err := meshes.OrNotReady(late, unsettled, broken)
	if !errors.Is(err, unsettled) || !meshes.IsNotReady(err) || !strings.Contains(err.Error(), "a cluster warms") {
		t.Errorf("a proxy that warms: %v", err)
	}
}
