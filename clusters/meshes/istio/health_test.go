package istio

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// lossy accepts objects of these kinds, and the control plane never sees them.
type lossy struct {
	writer
	kinds []string
}

func (l lossy) Apply(ctx context.Context, o kubeapi.Object) error {
	if slices.Contains(l.kinds, o["kind"].(string)) {
		return nil
	}
	return l.writer.Apply(ctx, o)
}

// lossyMesh is Istio whose control plane accepts a policy and does not enforce it.
type lossyMesh struct {
	Mesh
	kinds []string
}

func (m lossyMesh) Install(ctx context.Context, c *clusters.Cluster, rel meshes.Release) (meshes.Installed, error) {
	in := m.newInstalled(c, rel)
	in.writing = func(w writer) writer { return lossy{w, m.kinds} }
	return in.start(ctx, c, rel)
}

// A mesh that enforces nothing comes up, and says in time what is pending.
func TestAMeshThatEnforcesNothingComesUpAndDoesNotSettle(t *testing.T) {
	localOnly(t)
	b, err := meshtest.Options{
		Mesh: lossyMesh{kinds: []string{"PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"}}, Release: release(t),
		Name: "lossy", Ranges: 1, Limit: time.Minute, Patience: act,
	}.Make()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Undo.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	st := b.Mesh.(*installed).stages[b.Range().Name]
	tokens := meshtest.Friendly()
	tokens.Tokens = &policy.Tokens{Issuers: []string{"main"}}
	// Each change differs from what the objects before it say.
	others := tokens
	others.Tokens = &policy.Tokens{Issuers: []string{"main"}, Audience: "bank"}
	for _, c := range []struct {
		lost    string
		policy  policy.Policy
		pending string
	}{
		{"PeerAuthentication", tokens, "it takes plaintext: true instead of false"},
		{"AuthorizationPolicy", tokens, "its rules have the versions"},
		{"RequestAuthentication", others, "issuers that differ from the 1 expected"},
	} {
		st.writer, st.objects = lossy{st.api, []string{c.lost}}, map[string]written{}
		began := time.Now()
		meshtest.Wants(t, b.Unsettled(t, c.policy, 4*time.Second), "settle the sidecar of bank", c.pending, "deadline exceeded")
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("without %s it took %s", c.lost, took)
		}
	}
	st.writer, st.objects = st.api, map[string]written{}
	b.Apply(t, others)
}

// An istiod whose CA refuses the agents ends the way up, with the agents' words.
func TestAnIstiodThatRefusesItsAgentsIsAnErrorThatSaysSo(t *testing.T) {
	localOnly(t)
	rel := release(t)
	refusing := filepath.Join(t.TempDir(), "pilot-discovery")
	script := "#!/bin/sh\nTOKEN_AUDIENCES=nobody exec '" + rel.Programs[ProgramPilot] + "' \"$@\"\n"
	if err := os.WriteFile(refusing, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	rel.Programs[ProgramPilot] = refusing
	began := time.Now()
	_, err := meshtest.Options{Mesh: Mesh{}, Release: rel, Name: "refusing", Ranges: 1, Limit: 30 * time.Second, Patience: act}.Make()
	meshtest.Wants(t, err, "start the sidecar of bank", "its agent.log ends", "Unauthenticated")
	t.Logf("%v", err)
	if took := time.Since(began); took > 50*time.Second {
		t.Errorf("it took %s", took)
	}
}
