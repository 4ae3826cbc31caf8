// Package hack holds what maintainers need and users do not.
package hack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/meshbreach/meshbreach"

// An arrow says what a package may import of ours, itself aside. A trailing
// /... stands for the package and everything below it, and * for one folder.
type arrow struct {
	from  string
	to    []string
	tests []string // allowed to its tests as well
}

// arrows are looked through from the top; the first that fits counts.
// .golangci.yml holds the same ones for editors.
func arrows() []arrow {
	plain := []string{"suggest", "clusters", "clusters/policy", "clusters/identity", "clusters/signals", "clusters/detectors"}
	mesh := append([]string{"clusters/meshes", "clusters/proxy", "clusters/programs", "clusters/platform/..."}, plain...)
	return []arrow{
		{from: "cmd/meshbreach", to: []string{"scenarios/...", "clusters/builtin", "reports", "suggest"}, tests: []string{"clusters/..."}},
		{from: "cmd/probe", to: []string{"attacker/...", "clusters/meshes/*/wire"}},
		{from: "scenarios", to: append([]string{"assertions", "attacker/...", "clusters/meshes"}, plain...), tests: []string{"clusters/builtin"}},
		{from: "scenarios/explain", to: []string{"scenarios", "assertions", "attacker/...", "clusters", "clusters/policy", "clusters/identity", "clusters/meshes", "suggest"}},
		{from: "scenarios/runner", to: append([]string{"scenarios", "assertions", "attacker/...", "clusters/meshes", "reports"}, plain...), tests: []string{"scenarios/explain", "assertions/matchers", "clusters/builtin", "clusters/programs"}},
		{from: "assertions", to: []string{"attacker", "clusters", "clusters/signals", "clusters/detectors"}},
		{from: "assertions/matchers", to: []string{"assertions", "attacker", "clusters/signals"}},
		{from: "attacker/...", to: []string{"attacker/..."}},
		{from: "reports"},
		{from: "clusters"},
		{from: "suggest"},
		{from: "clusters/policy", to: []string{"clusters", "suggest"}},
		{from: "clusters/identity", to: []string{"clusters", "clusters/policy"}},
		{from: "clusters/signals", to: []string{"clusters"}},
		{from: "clusters/detectors", to: []string{"clusters", "clusters/policy", "clusters/signals"}},
		{from: "clusters/builtin", to: []string{"clusters/...", "suggest"}},
		{from: "clusters/meshes/meshtest", to: append([]string{"clusters/providers/local", "attacker/..."}, mesh...)},
		{from: "clusters/meshes", to: plain},
		{from: "clusters/meshes/*/wire", to: []string{"attacker"}, tests: []string{"attacker/..."}},
		{from: "clusters/meshes/...", to: mesh, tests: []string{"clusters/...", "attacker/..."}},
		{from: "clusters/proxy", to: []string{"clusters", "clusters/signals", "clusters/programs"}, tests: []string{"clusters/..."}},
		{from: "clusters/programs", to: []string{"clusters"}, tests: []string{"clusters/..."}},
		{from: "clusters/...", to: append([]string{"clusters/programs", "clusters/platform/..."}, plain...), tests: []string{"clusters/...", "attacker/..."}},
		{from: "hack/generate", to: []string{"scenarios/...", "reports", "clusters/builtin", "clusters/meshes", "clusters/platform/admission"}},
		{from: "hack/airgap/...", to: []string{"clusters/programs", "hack/airgap/..."}},
		{from: "hack/...", to: []string{"clusters/programs"}},
	}
}

// A fence keeps a foreign package where it belongs. Tests may cross it when
// tests says so.
type fence struct {
	prefixes []string
	inside   []string
	tests    bool
}

func fences() []fence {
	return []fence{
		{prefixes: []string{"sigs.k8s.io/kind", "sigs.k8s.io/e2e-framework", "k8s.io", "github.com/envoyproxy/go-control-plane", "github.com/vishvananda", "github.com/google/nftables"}, inside: []string{"clusters/..."}},
		{prefixes: []string{"github.com/tsenart/vegeta"}, inside: []string{"attacker/..."}},
		{prefixes: []string{"github.com/spiffe/go-spiffe"}, inside: []string{"attacker/...", "clusters/..."}, tests: true},
		{prefixes: []string{"github.com/onsi/gomega"}, inside: []string{"assertions/matchers"}, tests: true},
		{prefixes: []string{"testing", "github.com/onsi/ginkgo"}, inside: []string{"attacker/attackertest", "clusters/meshes/meshtest"}, tests: true},
	}
}

const (
	// forTests is a package of ours that only tests import.
	forTests = "clusters/meshes/meshtest"
	// forProbe are those that only the probe imports, and tests: a mesh does not
	// link what attacks it.
	forProbe = "clusters/meshes/*/wire"
)

// wrong says why a package of ours must not import another, or nothing.
func wrong(from, to string, test bool) error {
	ours := strings.TrimPrefix(from, module+"/")
	if their, ok := strings.CutPrefix(to, module+"/"); ok {
		return wrongArrow(ours, their, test)
	}
	for _, f := range fences() {
		if f.tests && test {
			continue
		}
		for _, p := range f.prefixes {
			if fits(p+"/...", to) && !slices.ContainsFunc(f.inside, func(in string) bool { return fits(in, ours) }) {
				return fmt.Errorf("%s imports %s: only %s may", ours, to, strings.Join(f.inside, ", "))
			}
		}
	}
	return nil
}

func wrongArrow(from, to string, test bool) error {
	i := slices.IndexFunc(arrows(), func(a arrow) bool { return fits(a.from, from) })
	if i < 0 {
		return fmt.Errorf("%s has no arrows: add it to hack/arrows_test.go and .golangci.yml", from)
	}
	a := arrows()[i]
	self := from
	if strings.HasSuffix(a.from, "/...") {
		self += "/..."
	}
	if fits(forProbe, to) && !fits(forProbe, from) && from != "cmd/probe" && !test {
		return fmt.Errorf("%s imports %s: only cmd/probe and tests may", from, to)
	}
	allowed := append(a.to, self)
	if test {
		allowed = append(allowed, a.tests...)
	}
	if slices.ContainsFunc(allowed, func(p string) bool { return fits(p, to) }) && (test || to != forTests) {
		return nil
	}
	return fmt.Errorf("%s imports %s: it may import %s", from, to, strings.Join(allowed, ", "))
}

func fits(pattern, name string) bool {
	if before, after, ok := strings.Cut(pattern, "/*/"); ok {
		one, found := strings.CutPrefix(name, before+"/")
		_, rest, deeper := strings.Cut(one, "/")
		return found && deeper && rest == after
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return name == pattern
}

type imports struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestPackagesImportOnlyAlongTheArrows(t *testing.T) {
	all := listed(t)
	if len(all) < 10 {
		t.Fatalf("go list found %d packages: this test would hold nothing", len(all))
	}
	for _, p := range all {
		for _, to := range p.Imports {
			complain(t, wrong(p.ImportPath, to, false))
		}
		for _, to := range append(p.TestImports, p.XTestImports...) {
			complain(t, wrong(p.ImportPath, to, true))
		}
	}
}

func complain(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func listed(t *testing.T) (all []imports) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = ".."
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, said.String())
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p imports
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestAnArrowThatIsNotInTheDesignIsRefused(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test     bool
	}{
		{"attacker", module + "/clusters", false},
		{"attacker/attacks", module + "/clusters/meshes/envoy", true},
		{"reports", module + "/attacker", true},
		{"clusters", module + "/clusters/meshes/envoy", false},
		{"clusters/meshes/envoy", module + "/clusters/providers/local", false},
		{"clusters/meshes/envoy", module + "/attacker", false},
		{"clusters/meshes/envoy", module + "/clusters/meshes/meshtest", false},
		{"clusters/builtin", module + "/clusters/meshes/meshtest", false},
		{"clusters/meshes/meshtest", module + "/clusters/meshes/envoy", false},
		{"clusters", module + "/attacker", true},
		{"clusters/providers/local", module + "/reports", true},
		{"assertions", module + "/clusters/meshes/envoy", false},
		{"scenarios", module + "/clusters/meshes/envoy", false},
		{"cmd/meshbreach", module + "/attacker", false},
		{"cmd/probe", module + "/clusters", false},
		{"cmd/probe", module + "/clusters/meshes/istio", false},
		{"clusters/meshes/istio/wire", module + "/clusters", false},
		{"clusters/meshes/istio/wire", module + "/clusters/meshes/istio", true},
		{"clusters/meshes/istio", module + "/clusters/meshes/istio/wire", false},
		{"attacker/attacks", module + "/clusters/meshes/istio/wire", true},
		{"scenarios/runner", module + "/clusters/meshes/istio/wire", false},
		{"new", module + "/reports", false},
		{"assertions", "testing", false},
		{"assertions", "github.com/onsi/gomega/types", false},
		{"scenarios/runner", module + "/assertions/matchers", false},
		{"scenarios", "github.com/onsi/ginkgo/v2", false},
		{"scenarios", "github.com/onsi/gomega", false},
		{"scenarios", "github.com/tsenart/vegeta/v12/lib", true},
		{"scenarios", "github.com/vishvananda/netlink", false},
		{"attacker", "k8s.io/client-go/rest", false},
		{"assertions", "github.com/spiffe/go-spiffe/v2/spiffeid", false},
	} {
		if wrong(module+"/"+c.from, c.to, c.test) == nil {
			t.Errorf("%s may import %s (test %t)", c.from, c.to, c.test)
		}
	}
}
