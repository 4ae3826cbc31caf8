package explain_test

import (
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/scenarios/explain"
)

func TestEveryNameIsExplained(t *testing.T) {
	names, err := explain.Explainable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var b strings.Builder
		if err := explain.Explain(&b, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, "%!") || strings.TrimRight(line, " \n")+"\n" != line {
				t.Errorf("%s: line %q", name, line)
			}
		}
	}
}
