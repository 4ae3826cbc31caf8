package scenarios_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/scenarios"
)

func TestWhatIsForAWholeClusterIsLeftOutUnlessItIsNamed(t *testing.T) {
	wide := scenarios.Scenario{ID: "bypass/wide", Aliases: []string{"wide"}, Policy: policy.Policy{Admission: policy.Admission{Pipeline: true}}}
	picked := []scenarios.Scenario{{ID: "lateral/one"}, wide}
	for _, c := range []struct {
		names []string
		kept  int
	}{
		{nil, 1}, {[]string{"bypass"}, 1}, {[]string{"bypass/*"}, 1}, {[]string{"lateral/one"}, 1},
		{[]string{"bypass/wide"}, 2}, {[]string{"lateral", "wide"}, 2}, {[]string{"nowhere.yaml"}, 1},
	} {
		kept, out := scenarios.Unnamed(picked, c.names)
		if len(kept) != c.kept || len(kept)+len(out) != len(picked) {
			t.Errorf("%q: kept %d, left out %d, want %d kept", c.names, len(kept), len(out), c.kept)
		}
	}
}
