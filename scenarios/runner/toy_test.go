package runner_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// toy is a whole mesh in a file: it protects nothing and has no authority.
type toy struct{}

func (toy) Describe() meshes.Descriptor {
	return meshes.Descriptor{Name: "toy", Title: "a toy", Providers: []string{"local"}}
}

func (toy) Render(clusters.Range, policy.Policy) ([]meshes.Object, error) { return nil, nil }

func (toy) Install(context.Context, *clusters.Cluster, meshes.Release) (meshes.Installed, error) {
	return toy{}, nil
}

func (toy) Apply(context.Context, clusters.Range, policy.Policy) (clusters.Revision, error) {
	return clusters.Revision{ID: "toy"}, nil
}

func (toy) Settled(context.Context, clusters.Range, clusters.Revision) error { return nil }

func (toy) Evidence(context.Context, clusters.Range, signals.Query) ([]signals.Signal, error) {
	return nil, nil
}

func (toy) Authority(clusters.Range) (identity.Authority, error) {
	return nil, errors.New("a toy has no certificates")
}

// onToy is a run on the toy.
func onToy(s *scenarios.Scenario, o *runner.Options) {
	o.Mesh = toy{}
	a := &s.Attempts[0]
	a.Expect = maps.Clone(a.Expect)
	a.Expect["toy"] = a.Expect["none"]
}

func TestAMeshOfOneFileRunsAScenario(t *testing.T) {
	wants(t, onlyOn(t, "none", "lateral/unauth-service", "once", onToy), assertions.Breached, assertions.Pass, "")
}

func TestWhatAToyCannotDoIsUnsupportedWithItsReason(t *testing.T) {
	wants(t, onlyOn(t, "none", "certs/expired-leaf", "expired", onToy), assertions.Unsupported, assertions.Outcome(assertions.Unsupported), "a toy has no certificates")
}
