package reports_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/reports"
)

// A format from outside of the package is one value in the list.
func TestAFormatIsOneValueOfAList(t *testing.T) {
	list := append(reports.All(), reports.Format{Name: "count", File: "count.txt", Render: func(w io.Writer, run reports.Run) error {
		_, err := fmt.Fprintln(w, len(run.Scenarios))
		return err
	}})
	dir := t.TempDir()
	paths, err := list.Write(dir, []string{"json", "count"}, reports.Run{Scenarios: make([]reports.Scenario, 3)})
	if err != nil || len(paths) != 2 {
		t.Fatalf("wrote %v, %v", paths, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "count.txt")); err != nil || string(b) != "3\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if err := list.Check([]string{"text", "cuont"}); err == nil || !strings.Contains(err.Error(), "did you mean count?") {
		t.Errorf("a misspelt name: %v", err)
	}
	if err := reports.All().Check([]string{"count"}); err == nil {
		t.Error("the list of meshbreach itself has grown")
	}
}
