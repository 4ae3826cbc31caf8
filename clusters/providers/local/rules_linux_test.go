package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
)

// users is for tests that need users other than one.
func users(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.HasSuffix(strings.TrimSpace(string(raw)), " 1") {
		t.Skip("there is one user here: run as root")
	}
}

func TestAProxyMayBeAnotherUserInAFolderOfTheHarness(t *testing.T) {
	users(t)
	s := up(t, "user", 1)
	bank := s.workload(0, "bank")
	dir := filepath.Join(whole(s.Host).Scratch(), "proxy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	_, err := whole(s.Host).Sidecar(t.Context(), bank, clusters.Sidecar{
		Command: []string{"/bin/sh", "-c", `id -u; id -g; cat key; touch made; echo done; exec sleep 1000`},
		Dir:     dir, Log: log, User: 1337,
	})
	if err != nil {
		t.Fatal(err)
	}
	var said string
	until(t, "the proxy has spoken", func() bool {
		raw, err := os.ReadFile(log)
		said = string(raw)
		return err == nil && strings.Contains(said, "done")
	})
	if said != "1337\n1337\nours\ndone\n" {
		t.Errorf("the proxy said %q", said)
	}
}

func TestRulesOfItsOwnAreWrittenInTheWorkloadsNetworkBeforeTheProxyStarts(t *testing.T) {
	users(t)
	s := up(t, "rules", 1)
	bank := s.workload(0, "bank")
	links := filepath.Join(whole(s.Host).Scratch(), "links")
	log := filepath.Join(whole(s.Host).Scratch(), "log")
	_, err := whole(s.Host).Sidecar(t.Context(), bank, clusters.Sidecar{
		Command: []string{"/bin/sh", "-c", "cat " + links + "; echo done; exec sleep 1000"},
		Log:     log, User: 1337, Env: []string{"WHO=rules"},
		Capture: clusters.Capture{
			Inbound: portIn, Outbound: portOut,
			Rules: []string{"/bin/sh", "-c", "{ id -u; echo $WHO; cat /proc/thread-self/net/fib_trie; } > " + links},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var said string
	until(t, "the proxy has spoken", func() bool {
		raw, err := os.ReadFile(log)
		said = string(raw)
		return err == nil && strings.Contains(said, "done")
	})
	if !strings.HasPrefix(said, "0\nrules\n") || !strings.Contains(said, bank.Address.String()) {
		t.Errorf("the rules were written where there is %q", said)
	}
	// They are all there is: nothing of ours captures as well.
	outsider := s.workload(0, "outsider")
	s.ask(bank, "listen", 8080)
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.Contains(got, "app 8080") || strings.Contains(got, "inbound") {
		t.Errorf("%q", got)
	}
}

func TestRulesThatCannotBeWrittenStartNoProxy(t *testing.T) {
	s := up(t, "norules", 1)
	bank := s.workload(0, "bank")
	for want, c := range map[string]clusters.Sidecar{
		"no such table": {User: 1337, Capture: clusters.Capture{Rules: []string{"/bin/sh", "-c", "echo no such table >&2; exit 3"}}},
		"needs one":     {Capture: clusters.Capture{Rules: []string{"true"}}},
	} {
		c.Command, c.Log = []string{"/bin/sleep", "1000"}, filepath.Join(whole(s.Host).Scratch(), "log")
		if _, err := whole(s.Host).Sidecar(t.Context(), bank, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := whole(s.Host).Fault(t.Context(), bank, clusters.PartProxy, clusters.FaultHang); err == nil {
			t.Error("there is a proxy")
		}
	}
}
