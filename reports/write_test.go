package reports

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestAReportThatWasWrittenReadsTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "reports")
	paths, err := All().Write(dir, All().Names(), sample())
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != len(All().Names()) {
		t.Errorf("wrote %v", paths)
	}
	got, err := Read(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := encoded(t, got), encoded(t, sample()); a != b {
		t.Errorf("read\n%s\nwrote\n%s", a, b)
	}
	files := listed(t, dir)
	if want := []string{"junit.xml", "report.json", "report.md", "report.txt"}; !reflect.DeepEqual(files, want) {
		t.Errorf("the folder holds %v", files)
	}
}

func encoded(t *testing.T, run Run) string {
	t.Helper()
	var b strings.Builder
	if err := JSON(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestAFailureInTheMiddleKeepsTheEarlierReportAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "report.json"), []byte("earlier"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := sample()
	broken.Scenarios[0].Attempts[0].Record = json.RawMessage(`{"cut off`)
	if _, err := All().Write(dir, []string{"text", "json"}, broken); err == nil {
		t.Fatal("a record that is no JSON was written")
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "report.json")); string(b) != "earlier" {
		t.Errorf("the earlier report is now %q", b)
	}
	if files := listed(t, dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestADraftThatFailsHalfwayIsRemoved(t *testing.T) {
	dir := t.TempDir()
	half := Format{"half", "half.txt", func(w io.Writer, _ Run) error {
		if _, err := io.WriteString(w, "half a"); err != nil {
			return err
		}
		return errFull
	}}
	if _, err := draft(dir, half, Run{}); err == nil {
		t.Fatal("no error")
	}
	if files := listed(t, dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAPlaceThatIsTakenIsAnErrorAndLeavesNoDraft(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "report.json", "occupied"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := All().Write(dir, []string{"json"}, sample()); err == nil {
		t.Fatal("a folder was replaced by a report")
	}
	if files := listed(t, dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := All().Write(filepath.Join(file, "reports"), All().Names(), sample())
	if err == nil || !strings.Contains(err.Error(), "make report folder") {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownFormatWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	if _, err := All().Write(dir, []string{"json", "jsno"}, sample()); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}
}

func TestTwoRunsThatWriteAtOnceLeaveOneWholeReport(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := All().Write(dir, []string{"json"}, sample()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := Read(filepath.Join(dir, "report.json")); err != nil {
		t.Error(err)
	}
	if files := listed(t, dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestReadTakesOnlyItsOwnSchema(t *testing.T) {
	for content, want := range map[string]string{
		`{"schema":"meshbreach/report/v2"}`:        `its schema is "meshbreach/report/v2"`,
		`{"id":"x"}`:                               "it has no field schema",
		`{"schema":"meshbreach/report/v1"} extra`:  "invalid character",
		`{"schema":"meshbreach/report/v1","exit":`: "unexpected end",
		`[]`: "cannot unmarshal array",
	} {
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "missing.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}
