package scenarios_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/scenarios"
)

func catalogue(t *testing.T) []scenarios.Scenario {
	t.Helper()
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryFileOfTheCatalogueIsListedUnderItsPath(t *testing.T) {
	listed := map[string]bool{}
	for _, s := range catalogue(t) {
		listed[s.ID] = true
	}
	seen := 0
	err := fs.WalkDir(os.DirFS("catalog"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		if id, ok := strings.CutSuffix(name, ".yaml"); !ok || !listed[id] {
			t.Errorf("catalog/%s is no scenario that is listed", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 || seen != len(listed) {
		t.Errorf("%d files, %d scenarios", seen, len(listed))
	}
}

func TestNoTwoScenariosAnswerToOneName(t *testing.T) {
	wellFormed := regexp.MustCompile(`^[a-z]+(-[a-z]+)*/[a-z0-9]+(-[a-z0-9]+)*$`)
	owner := map[string]string{}
	for _, s := range catalogue(t) {
		owner[path.Dir(s.ID)] = "a family"
	}
	titles := map[string]string{}
	for _, s := range catalogue(t) {
		if !wellFormed.MatchString(s.ID) {
			t.Errorf("id %q is not family/name", s.ID)
		}
		for _, name := range append([]string{s.ID}, s.Aliases...) {
			if other, taken := owner[name]; taken {
				t.Errorf("%q is %s and also %s", name, s.ID, other)
			}
			owner[name] = s.ID
		}
		if other, taken := titles[s.Title]; taken {
			t.Errorf("%s has the title of %s", s.ID, other)
		}
		titles[s.Title] = s.ID
	}
}

func TestEveryAttemptCanProveSomething(t *testing.T) {
	for _, s := range catalogue(t) {
		for _, a := range s.Attempts {
			if a.Attack != "" && a.Twin == nil && s.Twin == nil {
				t.Errorf("%s %s has no twin", s.ID, a.ID)
			}
			if !receives(placeOfBreach(s, a)) {
				t.Errorf("%s %s: its breach is a receipt at %s, which serves nobody", s.ID, a.ID, placeOfBreach(s, a))
			}
			for _, m := range builtin.Meshes() {
				if e, told := a.Expect[m.Describe().Name]; !told || e.Verdict == "" {
					t.Errorf("%s %s says nothing of mesh %s", s.ID, a.ID, m.Describe().Name)
				}
			}
			if a.Unwinnable == "" && !opens(s, a) {
				t.Errorf("%s %s is opened by nothing, neither a mutant nor the mesh none, and does not say that it is unwinnable", s.ID, a.ID)
			}
		}
	}
}

// placeOfBreach is where the receipt would lie; without a predicate any receipt
// at the target counts.
func placeOfBreach(s scenarios.Scenario, a scenarios.Attempt) string {
	if a.Breach == nil || a.Breach.ReceiptAt == "" || a.Breach.ReceiptAt == "target" {
		return s.Cast.Target
	}
	return a.Breach.ReceiptAt
}

func receives(name string) bool {
	return slices.ContainsFunc(clusters.Cast(), func(m clusters.Member) bool { return m.Name == name && m.Serves })
}

// opens says whether an attempt wins somewhere: on no mesh at all, or under a
// mutant on a mesh that has it. What is unsupported everywhere is never tried.
// Undisturbed is judged by the load alone, so one mutant that disrupts shows
// for all such attempts of a scenario that the load would tell.
func opens(s scenarios.Scenario, a scenarios.Attempt) bool {
	alike := []string{a.ID}
	if undisturbed(a) {
		for _, other := range s.Attempts {
			if undisturbed(other) {
				alike = append(alike, other.ID)
			}
		}
	}
	supported := false
	for _, m := range builtin.Meshes() {
		e := a.Expect[m.Describe().Name].Expectation
		if e.Verdict == assertions.Unsupported {
			continue
		}
		supported = true
		if e.Verdict == assertions.Breached && e.Gap && e.Silent {
			return true // it wins where it is tried, and no detector could be blinded
		}
		if m.Describe().Name == "none" && e.Verdict == assertions.Breached {
			return true
		}
		for _, x := range s.Mutants {
			applies := len(x.Meshes) == 0 || slices.Contains(x.Meshes, m.Describe().Name)
			if applies && slices.ContainsFunc(x.Opens, func(id string) bool { return slices.Contains(alike, id) }) {
				return true
			}
		}
	}
	return !supported
}

func undisturbed(a scenarios.Attempt) bool {
	for _, e := range a.Expect {
		if e.Verdict == assertions.Undisturbed {
			return true
		}
	}
	return false
}

// A control plane that does as it is told would ask the node that it runs on,
// which is nobody's to attack: Amazon's, Google's and Azure's, their other ones
// for IPv6, tasks and machines, and Alibaba's.
func TestNoAttemptNamesWhereARealNodeAnswersForItself(t *testing.T) {
	for _, s := range catalogue(t) {
		for _, a := range s.Attempts {
			said := fmt.Sprint(a.With, a.Twin, s.Twin)
			for _, at := range []string{"169.254.169.", "169.254.170.", "fd00:ec2", "metadata.google", "168.63.129.16", "100.100.100.200"} {
				if strings.Contains(said, at) {
					t.Errorf("%s %s names %s", s.ID, a.ID, at)
				}
			}
		}
	}
}

func TestEveryScenarioIsMappedAndSourced(t *testing.T) {
	ids := map[string]*regexp.Regexp{
		"nhi":     regexp.MustCompile(`^NHI([1-9]|10)$`),                       // OWASP Non-Human Identities Top 10, 2025
		"attack":  regexp.MustCompile(`^T\d{4}(\.\d{3})?$`),                    // MITRE ATT&CK technique
		"zt":      regexp.MustCompile(`^ZT[1-7]$`),                             // tenets of NIST SP 800-207
		"csf":     regexp.MustCompile(`^(GV|ID|PR|DE|RS|RC)\.[A-Z]{2}-\d{2}$`), // NIST CSF 2.0 subcategory
		"agentic": regexp.MustCompile(`^ASI(0[1-9]|10)$`),                      // OWASP Agentic Security Initiative
	}
	for _, s := range catalogue(t) {
		for _, framework := range []string{"nhi", "attack", "zt", "csf"} {
			if len(s.Maps[framework]) == 0 {
				t.Errorf("%s is not mapped to %s", s.ID, framework)
			}
		}
		for framework, mapped := range s.Maps {
			form, known := ids[framework]
			if !known {
				t.Errorf("%s is mapped to %q, which nobody knows", s.ID, framework)
				continue
			}
			for i, id := range mapped {
				if !form.MatchString(id) || slices.Contains(mapped[:i], id) {
					t.Errorf("%s: %s %q is no id of it, or is there twice", s.ID, framework, id)
				}
			}
		}
		if len(s.Sources) == 0 {
			t.Errorf("%s names no source", s.ID)
		}
		for _, source := range s.Sources {
			if u, err := url.Parse(source); err != nil || u.Scheme != "https" || u.Host == "" {
				t.Errorf("%s: source %q is no address", s.ID, source)
			}
		}
	}
}

func TestWhatNothingOpensIsFound(t *testing.T) {
	expect := func(v assertions.Verdict) scenarios.Expect {
		return scenarios.Expect{Expectation: assertions.Expectation{Verdict: v}}
	}
	a := scenarios.Attempt{ID: "a", Expect: map[string]scenarios.Expect{"none": expect(assertions.Unsupported), "envoy": expect(assertions.Blocked)}}
	s := scenarios.Scenario{Attempts: []scenarios.Attempt{a}}
	if opens(s, a) {
		t.Error("an attempt that only ever holds is opened by something")
	}
	s.Mutants = []scenarios.Mutant{{Misconfigure: []string{"no-policy"}, Opens: []string{"a"}, Meshes: []string{"elsewhere"}}}
	if opens(s, a) {
		t.Error("a mutant of no mesh that there is opens it")
	}
	s.Mutants[0].Meshes = nil
	if !opens(s, a) {
		t.Error("a mutant that applies does not open it")
	}
}
