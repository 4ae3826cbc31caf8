package programs

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

func TestWhatIsPinnedComesNeitherFromPathNorFromTheEnvironment(t *testing.T) {
	cache := workshop(t)
	fake := filepath.Join(t.TempDir(), "etcd")
	t.Setenv("MESHBREACH_ETCD", fake)
	_, err := Pinned(t.Context(), "etcd", Options{Path: fake})
	var missing *NotFoundError
	if !errors.As(err, &missing) || len(missing.Looked) != 2 || !strings.HasPrefix(missing.Looked[0].Where, "cache "+cache) {
		t.Errorf("looked elsewhere than in the cache: %v", err)
	}
	if _, err := Pinned(t.Context(), "nothing", Options{}); err == nil {
		t.Error("a program that nobody pins was found")
	}
}

func TestNodeProgramsAreNotWhatDoctorLists(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range known() {
		seen[p.name] = true
	}
	for _, p := range nodePrograms() {
		if seen[p.name] {
			t.Errorf("%s is listed twice", p.name)
		}
		seen[p.name] = true
		path, err := PinnedPath(p.name)
		if err != nil || !strings.Contains(path, p.family+"-"+p.version+"-") || filepath.Base(path) != p.name {
			t.Errorf("%s is at %s: %v", p.name, path, err)
		}
	}
}

func TestNodeModulesPinWhatTheyAreCalled(t *testing.T) {
	for pin, m := range map[string]module{
		"github.com/containerd/containerd/v2 v" + containerdVersion: containerd(),
		"github.com/coredns/coredns v" + coreDNSVersion:             coreDNS(),
		"k8s.io/kubernetes v" + kubernetesVersion:                   kubernetesNode(),
	} {
		text, err := m.text()
		if err != nil {
			t.Fatal(err)
		}
		a := txtar.Parse(text)
		if len(a.Files) != 2 || a.Files[0].Name != "go.mod" || a.Files[1].Name != "go.sum" {
			t.Fatalf("%s: %d files", m.family, len(a.Files))
		}
		for _, f := range a.Files {
			if !bytes.Contains(f.Data, []byte(pin)) {
				t.Errorf("%s: %s has no %s", m.family, f.Name, pin)
			}
		}
		for _, p := range m.programs {
			if !bytes.Contains(a.Files[0].Data, []byte("\t"+p.pkg+"\n")) && !bytes.Contains(a.Files[0].Data, []byte("tool "+p.pkg+"\n")) {
				t.Errorf("%s: go.mod does not name %s", m.family, p.pkg)
			}
		}
	}
}
