package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/suggest"
)

// CVEs are the ids of the known CVEs that scenarios name, sorted.
func CVEs(all []Scenario) []string {
	var out []string
	for _, s := range all {
		for _, a := range s.Attempts {
			for _, e := range a.Expect {
				if e.CVE != nil {
					out = append(out, e.CVE.ID)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// CheckAccepted says which of some ids is not one of the known CVEs: whoever
// accepts a CVE by a misspelt id would wonder why the run still fails.
func CheckAccepted(ids, known []string) error {
	for _, id := range ids {
		if !slices.Contains(known, id) {
			known = slices.Compact(slices.Sorted(slices.Values(known)))
			return fmt.Errorf("--accept %s: no scenario names this CVE%s; the known ones are %s", id, suggest.Text(id, known), strings.Join(known, ", "))
		}
	}
	return nil
}
