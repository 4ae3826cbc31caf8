package runner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/probe"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/detectors"
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

// toyDetector raises an alert for each request from the address of the outsider that the
// target's proxy saw.
type toyDetector struct{}

func (toyDetector) Name() string { return "toy" }

func (toyDetector) Alerts(in detectors.Input) []detectors.Alert {
	outsider, err := in.Range.Workload("outsider")
	if err != nil {
		return nil
	}
	var out []detectors.Alert
	for _, s := range in.Signals {
		if s.Inbound && s.Workload == in.Target && s.Source.Addr() == outsider.Address {
			out = append(out, detectors.Alert{At: s.At, Kind: "toy", Nonce: s.Nonce, Source: s.Source, Text: "the toy saw a request"})
		}
	}
	return out
}

func TestADetectorFromOutsideRaisesTheAlertOfAGap(t *testing.T) {
	byToy := func(with ...detectors.Detector) func(*scenarios.Scenario, *runner.Options) {
		return func(s *scenarios.Scenario, o *runner.Options) {
			o.Detectors = with
			a := &s.Attempts[0]
			a.Expect = maps.Clone(a.Expect)
			e := a.Expect["envoy"]
			e.Alert = "toy"
			a.Expect["envoy"] = e
		}
	}
	const scenario, attempt = "impersonation/svid-stolen-other-pod", "copied-leaf"
	seen := onlyOn(t, "envoy", scenario, attempt, byToy(toyDetector{}))
	wants(t, seen, assertions.Breached, assertions.Gap, "")
	if seen.Alert != "the toy saw a request" {
		t.Errorf("alert %q", seen.Alert)
	}
	wants(t, onlyOn(t, "envoy", scenario, attempt, byToy()), assertions.Breached, assertions.GapUndetected, "")
}

// toyProbe is the name by which this test's own binary is a probe that carries
// one more attack.
const toyProbe = "toy-probe"

// toyAttacks are those that come with meshbreach, and one that does not.
func toyAttacks() []attacker.Attack {
	type params struct {
		Path string `json:"path"`
	}
	return append(attacks.Catalog(), attacker.New("toy-request", "Send a toy request", "Asks for a path.",
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p params, emit func(attacker.Observation)) error {
			emit(f.Request(ctx, attacker.Request{Nonce: nonce(), Method: "POST", Path: p.Path, Host: t.Host, Address: t.Address + ":8080"}))
			return nil
		}))
}

func runToyProbe() int {
	if err := probe.Run(context.Background(), os.Args, probe.Options{Attacks: toyAttacks()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const toyScenario = `
id: lateral/toy
title: Send a toy request
pillar: policy
severity: low
why: An attack of somebody else's is run as ours are.
cast: {friend: web, foe: thief, target: bank}
policy: {mtls: strict, allow: [{from: [web], to: bank, methods: [POST], paths: [/v1/charge]}]}
attempts:
- id: once
  attack: toy-request
  with: {path: /v1/charge}
  twin: {path: /v1/rates}
  breach: {receiptAt: target, route: /v1/charge}
  unwinnable: it is a toy
  expect: {none: breached}
maps: {nhi: [NHI7]}
sources: ["https://example.com"]
`

func TestAnAttackFromOutsideIsLintedSentAndJudged(t *testing.T) {
	s, err := scenarios.Rules{Meshes: []string{"none"}, Attacks: toyAttacks()}.Decode("toy.yaml", []byte(toyScenario))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (scenarios.Rules{Meshes: []string{"none"}}).Decode("toy.yaml", []byte(toyScenario)); err == nil || !strings.Contains(err.Error(), `unknown attack "toy-request"`) {
		t.Errorf("to whom nobody gave the attack: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), toyProbe)
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	o := options(t, "none", "lateral/unauth-service")
	o.Scenarios, o.Attacks, o.Probe, o.Parallel = []scenarios.Scenario{s}, toyAttacks(), program, 1
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, r.Scenarios[0].Attempts[0], assertions.Breached, assertions.Pass, "")
}
