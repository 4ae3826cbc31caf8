package scenarios

import (
	"slices"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// ClusterWide says whether a scenario makes objects for a whole cluster, where
// it runs on one with nodes: policies of admission are.
func (s Scenario) ClusterWide() bool { return s.Policy.Admission != policy.Admission{} }

// Unnamed takes scenarios that make objects for a whole cluster out of what
// Pick made of names, unless their own id, an alias of it or a file of them is
// among the names: a family, a glob and the whole catalogue name nobody. The
// second list has those that were taken out.
func Unnamed(picked []Scenario, names []string) (kept, out []Scenario) {
	for _, s := range picked {
		if !s.ClusterWide() || s.among(names) {
			kept = append(kept, s)
		} else {
			out = append(out, s)
		}
	}
	return kept, out
}

func (s Scenario) among(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		if IsFile(n) {
			read, err := Rules{}.ReadFile(n)
			return err == nil && read.ID == s.ID
		}
		return n == s.ID || slices.Contains(s.Aliases, n)
	})
}
