package runner_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// lying is a mesh that takes a policy, puts another one into effect and never
// says that it has settled.
type lying struct {
	meshes.Mesh
	lose  func(*policy.Policy)
	whole bool // all of the mesh is ready
}

func (m lying) Install(ctx context.Context, c *clusters.Cluster, r meshes.Release) (meshes.Installed, error) {
	in, err := m.Mesh.Install(ctx, c, r)
	return lyingMesh{in, m}, err
}

type lyingMesh struct {
	meshes.Installed
	lying lying
}

func (m lyingMesh) Apply(ctx context.Context, r clusters.Range, p policy.Policy) (clusters.Revision, error) {
	m.lying.lose(&p)
	rev, err := m.Installed.Apply(ctx, r, p)
	if err == nil {
		err = m.Installed.Settled(ctx, r, rev)
	}
	return rev, err
}

func (m lyingMesh) Settled(ctx context.Context, _ clusters.Range, _ clusters.Revision) error {
	<-ctx.Done()
	if m.lying.whole {
		return ctx.Err()
	}
	return meshes.NotReady(ctx.Err())
}

// A loss is what a control plane may take and not enforce, one thing at a time,
// and a scenario that shows it.
type loss struct {
	name, scenario string
	lose           func(*policy.Policy)
}

func losses() []loss {
	return []loss{
		{"mutual TLS", "lateral/plaintext-unmeshed", func(p *policy.Policy) { p.MTLS = policy.Permissive; p.Allow = nil; p.Open = true }},
		{"rules", "lateral/unauth-service", func(p *policy.Policy) { p.Allow = nil; p.Open = true }},
		{"tokens", "token/jwt-absent-token", func(p *policy.Policy) {
			p.Tokens = nil
			for i := range p.Allow {
				p.Allow[i].Token = nil
			}
		}},
	}
}

// isABreach runs the scenario of a loss on a mesh that has it.
func (l loss) isABreach(t *testing.T, mesh string) {
	o := options(t, mesh, l.scenario)
	o.Mesh, o.Parallel = lying{o.Mesh, l.lose, true}, 1
	began := time.Now()
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit != 1 {
		t.Errorf("exit %d", r.Exit)
	}
	// One limit of 10 s, and then a second each.
	if took := time.Since(began) - r.UpTime.Duration(); took > 45*time.Second {
		t.Errorf("it took %s", took)
	}
	breached := false
	for _, a := range r.Scenarios[0].Attempts {
		t.Logf("%s: %s, %s: %s", a.ID, a.Verdict, a.Outcome, a.Why)
		breached = breached || a.Verdict == string(assertions.Breached) && strings.Contains(a.Why, "the policy never settled: ")
	}
	if !breached {
		t.Error("no attempt is a breach that says that the policy never settled")
	}
}

func TestAPolicyThatIsNotEnforcedIsABreachAndNoHang(t *testing.T) {
	for _, l := range losses() {
		t.Run(l.name, func(t *testing.T) { l.isABreach(t, "envoy") })
	}
}

func TestAPolicyThatIsNotEnforcedIsABreachOnARealMesh(t *testing.T) {
	for _, m := range controlledMeshes() {
		t.Run(m.mesh, func(t *testing.T) {
			on(t, m.mesh)
			for _, l := range losses() {
				t.Run(l.name, func(t *testing.T) { l.isABreach(t, m.mesh) })
			}
		})
	}
}

func TestAMeshThatIsNotReadyIsInconclusive(t *testing.T) {
	o := options(t, "envoy", "lateral/unauth-service")
	o.Mesh, o.Parallel, o.Timeout = lying{o.Mesh, func(p *policy.Policy) { p.Allow = nil; p.Open = true }, false}, 1, 15*time.Second
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := verdictsOf(r); got[string(assertions.Breached)] > 0 || r.Exit != 3 {
		t.Errorf("exit %d, %v", r.Exit, got)
	}
}

func verdictsOf(r reports.Run) map[string]int { return r.Totals.Verdicts }
