package meshtest

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
)

// Paper is a range that exists only on paper.
func Paper() clusters.Range {
	r := clusters.Range{
		Name: "r1", TrustDomain: "r1.meshbreach.test",
		Roots: map[string]string{"mesh": "(PEM of the mesh's root)\n", "forged": "(PEM of the attacker's root)\n"},
		Issuers: map[string]clusters.Issuer{
			"main":  {URL: "https://main.test", JWKS: `{"keys":[]}`},
			"other": {URL: "https://other.test", JWKS: `{"keys":[]}`},
		},
	}
	for i, m := range clusters.Cast() {
		r.Workloads = append(r.Workloads, clusters.Workload{
			Name: m.Name, Range: r.Name, TrustDomain: r.TrustDomain, Namespace: m.Namespace, Account: m.Account,
			Meshed: m.Meshed, Address: netip.AddrFrom4([4]byte{10, 77, 1, byte(10 + i)}),
		})
	}
	return r
}

// Golden fails unless a golden file of the folder is what was rendered; update
// writes it anew.
func Golden(t *testing.T, update bool, folder, name string, got []byte) {
	t.Helper()
	file := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".golden")
	if update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run with -update)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is rendered; run with -update and look at the difference", file)
	}
}
