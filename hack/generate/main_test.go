package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsGeneratedIsFresh(t *testing.T) {
	t.Chdir("../..")
	want, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	old, err := stale(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range old {
		t.Errorf("%s is stale: run make generate", name)
	}
}

func TestStaleFilesAreFoundAndWrittenAnew(t *testing.T) {
	t.Chdir(t.TempDir())
	want := map[string][]byte{"a.json": []byte("{}"), filepath.Join(catalogue, "x", "y.md"): []byte("new")}
	if got, err := stale(want); err != nil || len(got) != 2 {
		t.Errorf("nothing is there yet, and stale are %v, %v", got, err)
	}
	for name, content := range map[string]string{"a.json": "{}", filepath.Join(catalogue, "x", "y.md"): "old", filepath.Join(catalogue, "gone.md"): "was"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := stale(want)
	if err != nil || len(got) != 2 || got[0] != filepath.Join(catalogue, "gone.md") || got[1] != filepath.Join(catalogue, "x", "y.md") {
		t.Errorf("stale are %v, %v", got, err)
	}
}
