package runner

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/scenarios"
)

// named is a mesh of which a test looks at the name alone.
type named struct{ meshes.Mesh }

func (named) Describe() meshes.Descriptor { return meshes.Descriptor{Name: "istio"} }

// here is a mesh that runs where it can do this.
type here struct {
	meshes.Installed
	able []meshes.Capability
}

func (h here) Capabilities() []meshes.Capability { return h.able }

func (here) Authority(clusters.Range) (identity.Authority, error) { return nil, nil }

// without is a mesh whose identities are not ours to make.
type without struct{ meshes.Installed }

func (without) Authority(clusters.Range) (identity.Authority, error) {
	return nil, errors.New("its root is its owner's")
}

// A mesh without an authority of ours must not end a run, and what needs none of
// it is tried all the same.
func TestWhatTakesAnAuthorityIsUnsupportedWhereThereIsNone(t *testing.T) {
	r := &rangeRunner{
		env: &environment{mesh: without{}}, opts: Options{Mesh: named{}},
		Range: clusters.Range{Workloads: []clusters.Workload{{Name: "web"}}},
	}
	leaf, err := decode(attacks.Catalog(), assertions.RoleAttempt, "web", "web", "present-leaf", map[string]any{"leaf": map[string]any{"of": "web"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    prepared
		want []string
	}{
		{"a leaf", prepared{attack: &leaf}, []string{"authority: its root is its owner's"}},
		{"a rotation", prepared{steps: []step{{Step: scenarios.Step{Rotate: identity.RotateLeaf}}}}, []string{"authority: its root is its owner's"}},
		{"nothing of it", prepared{}, nil},
	} {
		if got := r.missing(c.p); !slices.Equal(got, c.want) {
			t.Errorf("%s: missing %q, want %q", c.name, got, c.want)
		}
	}
	for what, err := range map[string]error{
		"a leaf":            second(r.leaf(t.Context(), &attacker.Leaf{Of: "web"})),
		"a token":           second(r.token(t.Context(), &attacker.Token{Of: "web"})),
		"what is delivered": second(r.delivered(t.Context(), "web")),
	} {
		if err == nil {
			t.Errorf("%s was had of nobody", what)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func TestARefusalOfThePlatformTakesThePlatformsLog(t *testing.T) {
	for _, c := range []struct {
		by   string
		has  []meshes.Capability
		want bool
	}{
		{"platform", nil, true}, {"platform", []meshes.Capability{meshes.CanAudit}, false}, {"target", nil, false},
	} {
		r := &rangeRunner{env: &environment{mesh: here{able: c.has}}, opts: Options{Mesh: named{}}}
		rec := assertions.Record{Expect: assertions.Expectation{Verdict: assertions.Blocked, By: c.by}}
		lacks := slices.ContainsFunc(r.missing(prepared{record: rec}), func(s string) bool { return strings.HasPrefix(s, string(meshes.CanAudit)) })
		if lacks != c.want {
			t.Errorf("refused by %s where there is %q: lacking %v", c.by, c.has, lacks)
		}
	}
}

// Without the platform's log nothing that it refused can be called blocked, but
// what it let in and ran is a breach by its receipt.
func TestWithoutThePlatformsLogOnlyWhatLeavesAReceiptIsTried(t *testing.T) {
	log, short := string(meshes.CanAudit)+": not ours", string(meshes.CanShortLive)+": set when a workload starts"
	unrun, plain := &assertions.Told{Holds: "thief", Unrun: true}, &assertions.Told{Holds: "thief"}
	for _, c := range []struct {
		name    string
		missing []string
		reply   *assertions.Told
		runs    bool
		want    bool
	}{
		{"nothing is missing", nil, plain, true, false},
		{"the log, and it is run", []string{log}, unrun, true, false},
		{"the log, and nobody runs it", []string{log}, unrun, false, true},
		{"the log, and the reply would be the proof", []string{log}, plain, true, true},
		{"the log, and a receipt would be the proof of what runs by itself", []string{log}, nil, true, true},
		{"something else as well", []string{short, log}, unrun, true, true},
	} {
		if got := unprovable(assertions.Record{Missing: c.missing, Runs: c.runs, Breach: assertions.Breach{Reply: c.reply}}); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// running is a mesh of which a test looks at who runs pods.
type running struct {
	here
	image string
}

func (r running) Endpoint(clusters.Range) identity.Endpoint {
	return identity.Endpoint{PodImage: r.image}
}

func TestAPodThatAsksForAProxyTakesAPlaceThatInjectsThem(t *testing.T) {
	for _, c := range []struct {
		with  map[string]any
		image string
		want  bool
	}{
		{map[string]any{"token": map[string]any{"of": "web"}, "proxied": true}, "", true},
		{map[string]any{"token": map[string]any{"of": "web"}, "proxied": true}, "probe:1", false},
		{map[string]any{"token": map[string]any{"of": "web"}, "bare": true}, "", false},
	} {
		r := &rangeRunner{env: &environment{mesh: running{image: c.image}}, opts: Options{Mesh: named{}}}
		submit, err := decode(attacks.Catalog(), assertions.RoleAttempt, "thief", "bank", "submit-pod", c.with)
		if err != nil {
			t.Fatal(err)
		}
		lacks := r.missing(prepared{attack: &submit, record: assertions.Record{Runs: c.image != ""}})
		if got := len(lacks) == 1 && strings.HasPrefix(lacks[0], "injector: "); got != c.want || len(lacks) > 1 {
			t.Errorf("%v, image %q: lacking %q", c.with, c.image, lacks)
		}
	}
}
