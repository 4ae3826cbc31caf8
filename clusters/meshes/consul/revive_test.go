package consul

import (
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
)

func TestASidecarThatEndsWhileItIsStartedIsStartedAgainAndSaysSo(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	st := b.mesh.stages[b.Range().Name]
	var notes []string
	in := *b.mesh
	in.note = func(text string) { notes = append(notes, text) }
	if st.revived(limit(t), &in) || len(notes) > 0 {
		t.Fatalf("of sidecars that run: %q", notes)
	}
	b.Fault(t, b.Workload(t, "bank"), clusters.FaultKill)
	<-b.sidecar(t, "bank").process.Done()
	if !st.revived(limit(t), &in) || len(notes) != 1 || !strings.Contains(notes[0], "sidecar of bank") || !strings.Contains(notes[0], "killed") {
		t.Fatalf("notes %q", notes)
	}
	b.Apply(t, friendly())
	if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
		t.Errorf("honest traffic: %s", meshtest.Says(o))
	}
	o := b.Request(t, "thief", b.charge(t))
	b.Refusal(t, o, "http", "rbac_access_denied_matched_policy[none]")
}
