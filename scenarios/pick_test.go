package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPickTakesFilesBesideTheCatalogueOrInsteadOfIt(t *testing.T) {
	all, err := (Rules{}).Pick(nil)
	if err != nil || len(all) < 16 {
		t.Fatalf("%d scenarios, %v", len(all), err)
	}
	data, err := files.ReadFile("catalog/lateral/unauth-service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(t.TempDir(), "mine.yaml")
	write := func(text string) {
		if err := os.WriteFile(mine, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(data), "id: lateral/unauth-service", "id: a/mine", 1))
	if got, err := (Rules{}).Pick([]string{mine}); err != nil || len(got) != 1 || got[0].ID != "a/mine" {
		t.Errorf("a file alone: %d scenarios, %v", len(got), err)
	}
	if got, err := (Rules{}).Pick([]string{"certs/expired-leaf", mine}); err != nil || len(got) != 2 || got[0].ID != "a/mine" {
		t.Errorf("a file and an id: %d scenarios, %v", len(got), err)
	}
	write(string(data))
	if _, err := (Rules{}).Pick([]string{"lateral", mine}); err == nil || !strings.Contains(err.Error(), `"lateral/unauth-service" is there twice`) {
		t.Errorf("the same id twice: %v", err)
	}
	if _, err := (Rules{}).Pick([]string{"nowhere.yaml", "latral"}); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") || !strings.Contains(err.Error(), `"lateral"?`) {
		t.Errorf("two mistakes are two lines: %v", err)
	}
}
