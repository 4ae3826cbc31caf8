package scenarios

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
)

// named is a mesh of which a test looks at the name alone.
type named struct{ clusters.Mesh }

func (named) Name() string { return "istio" }

// here is a mesh that runs where it can do this.
type here struct {
	clusters.Installed
	able []clusters.Capability
}

func (h here) Capabilities() []clusters.Capability { return h.able }

func TestARefusalOfThePlatformTakesThePlatformsLog(t *testing.T) {
	for _, c := range []struct {
		by   string
		has  []clusters.Capability
		want bool
	}{
		{"platform", nil, true}, {"platform", []clusters.Capability{clusters.CanAudit}, false}, {"target", nil, false},
	} {
		p := &player{stage: &stage{mesh: here{able: c.has}}, opts: Options{Mesh: named{}}}
		a := Attempt{Expect: map[string]Expect{"istio": {assertions.Expectation{Verdict: assertions.Blocked, By: c.by}}}}
		lacks := slices.ContainsFunc(p.lacking(clusters.Policy{}, a), func(s string) bool { return strings.HasPrefix(s, string(clusters.CanAudit)) })
		if lacks != c.want {
			t.Errorf("refused by %s where there is %q: lacking %v", c.by, c.has, lacks)
		}
	}
}
