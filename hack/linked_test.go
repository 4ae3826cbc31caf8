package hack

import (
	"os/exec"
	"strings"
	"testing"
)

// What only tests use must not be in the programs that people get.
func TestTheProgramsLinkNoTestLibrary(t *testing.T) {
	for _, program := range []string{"./cmd/meshbreach", "./cmd/probe"} {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", program)
		cmd.Dir = ".."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", program, err)
		}
		packages := strings.Fields(string(out))
		if len(packages) < 50 {
			t.Fatalf("%s has %d packages: this test would prove nothing", program, len(packages))
		}
		for _, p := range packages {
			if strings.HasPrefix(p, "github.com/onsi/") {
				t.Errorf("%s links %s", program, p)
			}
		}
	}
}
