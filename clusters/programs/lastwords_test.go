package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLastWordsOfAProgramSayWhyItEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "envoy.log")
	if got := LastWords(path); got != "" {
		t.Errorf("of no log: %q", got)
	}
	long := strings.Repeat("a line\n", 200)
	for name, c := range map[string]struct{ log, begins, ends string }{
		"a short log": {"started\nno memory\n", "; its envoy.log ends: started", "no memory"},
		"a long log":  {"started\n" + long + "no memory\n", "; its envoy.log ends: ", "no memory"},
		"one that aborts": {
			long + "[1][critical][assert] assert failure: it was closed\n[1][critical][backtrace] #0: here\n" + long,
			"; its envoy.log ends: [critical][assert] assert failure: it was closed", "a line",
		},
	} {
		if err := os.WriteFile(path, []byte(c.log), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := LastWords(path); !strings.HasPrefix(got, c.begins) || !strings.HasSuffix(strings.TrimSpace(got), c.ends) || len(got) > 700 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
