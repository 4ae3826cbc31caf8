package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/scenarios"
)

// document is the text of a file, by its path from the repository's root.
func document(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// figures is the first match of a pattern, whose groups are numbers.
func figures(t *testing.T, text, pattern string) []int {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("nothing fits %s", pattern)
	}
	var out []int
	for _, f := range found[1:] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// TestTheReadmesSampleIsOfTodaysCatalogue counts what mesh envoy is expected to
// do, which the matrix's own test holds to a recorded run.
func TestTheReadmesSampleIsOfTodaysCatalogue(t *testing.T) {
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	attempts, gaps := 0, 0
	verdicts := map[string]int{}
	var pass, limited, unsupported int
	for _, s := range all {
		tried, open := false, false
		for _, a := range s.Attempts {
			e := a.Expect["envoy"]
			attempts++
			verdicts[string(e.Verdict)]++
			tried = tried || e.Verdict != "unsupported"
			open = open || e.Gap
			if e.Gap {
				gaps++
			}
		}
		switch {
		case !tried:
			unsupported++
		case open:
			limited++
		default:
			pass++
		}
	}
	if got := verdicts["breached"]; got != gaps {
		t.Fatalf("%d attempts are breached on envoy and %d are gaps", got, gaps)
	}
	readme := document(t, "README.md")
	for _, c := range []struct {
		pattern string
		want    []int
	}{
		{`\nscenarios +(\d+): (\d+) pass, (\d+) \S+, (\d+) unsupported\n`, []int{len(all), pass, limited, unsupported}},
		{`\nattempts +(\d+): (\d+) blocked, (\d+) undisturbed, (\d+) breached, (\d+) unsupported\n`,
			[]int{attempts, verdicts["blocked"], verdicts["undisturbed"], gaps, verdicts["unsupported"]}},
		{`\n +1/(\d+) pass `, []int{len(all)}},
	} {
		if got := figures(t, readme, c.pattern); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("README has %v, the catalogue %v: %s", got, c.want, c.pattern)
		}
	}
}

func TestDocsCountTodaysCatalogue(t *testing.T) {
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	for _, s := range all {
		attempts += len(s.Attempts)
	}
	// What was measured on a day says so, and keeps that day's numbers.
	for _, path := range []string{"README.md", "docs/kubernetes.md", "docs/observed-consul.md", "docs/observed-istio.md", "docs/architecture.md", "docs/catalog/README.md"} {
		text := strings.Join(strings.Fields(document(t, path)), " ")
		for _, c := range []struct {
			pattern string
			want    int
		}{
			{`(\d+) scenarios`, len(all)},
			{`(?:of|with) (\d+) attempts`, attempts},
		} {
			for _, found := range regexp.MustCompile(c.pattern).FindAllStringSubmatch(text, -1) {
				if found[1] != strconv.Itoa(c.want) {
					t.Errorf("%s says %q, the catalogue has %d", path, found[0], c.want)
				}
			}
		}
	}
}
