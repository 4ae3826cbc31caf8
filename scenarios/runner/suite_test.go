package runner_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/assertions/matchers"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

var (
	meshName     = flag.String("mesh", "none", "mesh to attack")
	providerName = flag.String("provider", "local", "where it runs")
	chosen       = flag.String("scenarios", "", "ids, globs or families, with commas; empty is all")
	update       = flag.Bool("update", false, "write golden files anew")
)

// What the outer process built, for the inner one.
const (
	probeVariable  = "MESHBREACH_TEST_PROBE"
	vegetaVariable = "MESHBREACH_TEST_VEGETA" // only for benchmarks
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == toyProbe {
		os.Exit(runToyProbe())
	}
	flag.Parse()
	os.Exit(prepared(m))
}

// prepared builds the probe and finds the mesh's programs while there is a
// network, and then runs the tests inside.
func prepared(m *testing.M) int {
	if os.Getenv(probeVariable) == "" {
		dir, err := os.MkdirTemp("", "meshbreach-suite-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := build(dir, "probe", "../../cmd/probe", probeVariable); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		if flag.Lookup("test.bench").Value.String() != "" {
			if err := build(dir, "vegeta", "github.com/tsenart/vegeta/v12", vegetaVariable); err != nil {
				fmt.Fprintln(os.Stderr, err) // what needs it says so
			}
		}
		if err := builtin.Prefetch(context.Background(), said, *meshName, "envoy"); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	run := func() int {
		defer spending.print(os.Stdout)
		defer printBudgets(os.Stdout)
		return m.Run()
	}
	if *providerName != builtin.Local {
		return run()
	}
	return builtin.Main(run)
}

func said(line string) { fmt.Fprintln(os.Stderr, line) }

// build builds a program and names it to the inner process.
func build(dir, name, source, variable string) error {
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-o", path, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return os.Setenv(variable, path)
}

// options for a run of the named scenarios; none named is all.
func options(t testing.TB, mesh string, names ...string) runner.Options {
	t.Helper()
	all, err := scenarios.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := scenarios.Select(all, names)
	if err != nil {
		t.Fatal(err)
	}
	choice, err := builtin.Place{Provider: *providerName, Mesh: mesh}.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release, err := choice.Release(t.Context(), builtin.Search{})
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	return runner.Options{
		ID: hex.EncodeToString(id), Tool: "test", Scenarios: chosen, Provider: choice.Provider, Mesh: choice.Mesh, Release: release, Probe: os.Getenv(probeVariable),
		Attacks: attacks.Catalog(), Detectors: detectors.All(),
	}
}

// TestScenarios runs the catalogue once and asserts one finding a spec.
func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	o := options(t, *meshName, strings.FieldsFunc(*chosen, func(r rune) bool { return r == ',' })...)
	o.Progress = spoken{}
	secrets := newKeeper()
	o.Mesh = watched{o.Mesh, secrets}
	var report reports.Run
	BeforeSuite(func(ctx SpecContext) {
		var err error
		report, err = runner.Run(ctx, o)
		Expect(err).NotTo(HaveOccurred())
	})
	for i, s := range o.Scenarios {
		Describe(s.ID, func() {
			for j, a := range s.Attempts {
				It(fmt.Sprintf("%s: expects %s", a.ID, a.Expect[*meshName].Expectation), func() {
					assertFinding(report.Scenarios[i].Attempts[j], a.Expect[*meshName].Verdict)
				})
			}
			It("loses no honest request", func() {
				if p := report.Scenarios[i].Load; p != nil {
					Expect(loadOf(*p)).To(matchers.LoseNothing())
				}
			})
		})
	}
	if *update {
		It("is recorded, for the matrix of expectations", func() {
			Expect(record(*meshName, *providerName, verdicts(o.Scenarios, report))).To(Succeed())
		})
	}
	It("hands out no secret to a report or a log", func() {
		leaks, err := secrets.leaks(report)
		Expect(err).NotTo(HaveOccurred())
		Expect(leaks).To(BeEmpty())
		if *providerName == builtin.Local { // elsewhere they stay on the nodes
			Expect(secrets.written).NotTo(BeEmpty(), "no log was looked at")
		}
	})
	RunSpecs(t, "mesh "+*meshName+" on "+*providerName)
}

// spoken tells on the way what Ginkgo tells only at the end.
type spoken struct{}

func (spoken) Up(what string)      { fmt.Fprintln(GinkgoWriter, "up", what) }
func (spoken) Waiting(what string) { fmt.Fprintln(GinkgoWriter, "waiting", what) }
func (spoken) Started(id string)   { fmt.Fprintln(GinkgoWriter, "started", id) }
func (spoken) Finished(s reports.Scenario) {
	fmt.Fprintf(GinkgoWriter, "finished %s: %s in %.2fs %s\n", s.ID, s.Outcome, float64(s.Took), s.Why)
}

func assertFinding(a reports.Attempt, expected assertions.Verdict) {
	GinkgoHelper()
	// One place cannot show what another can: see held.
	if a.Outcome == string(assertions.NotApplicable) {
		Skip(a.Why)
	}
	Expect(a).To(matchers.HaveVerdict(expected), a.ID)
	Expect(a).To(matchers.HaveOutcome(assertions.Pass, assertions.Gap, assertions.KnownCVE), a.ID)
	for _, m := range a.Mutants {
		Expect(m).To(matchers.BeOpened(), "%s of %s", strings.Join(m.Misconfigure, "+"), a.ID)
	}
}

// loadOf is the load of a scenario in the form that it was measured in.
func loadOf(l reports.Load) attacker.LoadResult {
	out := attacker.LoadResult{Requests: l.Requests, Served: l.Requests - l.Lost, Lost: l.Lost}
	if l.Lost > 0 {
		out.Losses = []attacker.Loss{{Why: l.FirstLoss}}
	}
	return out
}
