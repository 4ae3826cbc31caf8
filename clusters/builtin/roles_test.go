package builtin_test

import (
	"os"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/builtin"
)

func TestTheRolesInTheManualAreTheOnesThatAreAskedFor(t *testing.T) {
	manual, err := os.ReadFile("../../docs/existing/clusterrole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(manual) != string(builtin.Roles()) {
		t.Error("docs/existing/clusterrole.yaml is stale: go run ./hack/generate")
	}
	for _, strong := range []string{"escalate", "bind"} {
		for line := range strings.Lines(string(manual)) {
			if strings.Contains(line, "verbs:") && strings.Contains(line, strong) {
				t.Errorf("the roles give %s: %s", strong, line)
			}
		}
	}
}
