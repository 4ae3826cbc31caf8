package kind_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

// killed is a run on a cluster that it made and keeps, and that is killed when
// it is up.
func killed(t *testing.T, cluster, run, program string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], cluster, run, program)
	cmd.Env = append(os.Environ(), asRun+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // its end is an error as it should be
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "up" {
			_, err := kindDown(t, cluster)
			if err == nil {
				t.Error("the cluster was taken away from under the run")
			}
			return
		}
		t.Error(lines.Text())
	}
	t.FailNow()
}

// kindDown returns what Down noted.
func kindDown(t *testing.T, name string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var notes []string
	err := kind.Down(ctx, name, func(s string) { notes = append(notes, s); t.Log(s) })
	return notes, err
}

func TestDownRemovesWhatAKilledRunLeftOnAClusterThatIsKept(t *testing.T) {
	engine(t)
	program := probe(t)
	untouched := user(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cluster, run := name(), name()
	t.Cleanup(func() {
		if _, err := kindDown(t, cluster); err != nil {
			t.Error(err)
		}
		nothing(t, cluster)
		untouched()
	})
	t.Run("killed", func(t *testing.T) { killed(t, cluster, run, program) })
	kept := func(c kind.Cluster) bool { return c.Name == cluster && c.Kept && c.Running && !c.InUse }
	if all, err := kind.Clusters(ctx); err != nil || !slices.ContainsFunc(all, kept) {
		t.Fatalf("%+v, %v", all, err)
	}
	notes, err := kindDown(t, run)
	if err != nil || !slices.ContainsFunc(notes, func(s string) bool { return strings.Contains(s, "mb-"+run+"-r1-prod") }) {
		t.Errorf("%q, %v", notes, err)
	}

	start := time.Now()
	again := name()
	c, err := kind.Provider{Options: kind.Options{Name: cluster, Note: func(s string) { t.Log(s) }}}.Up(ctx, clusters.Spec{Name: again, Ranges: 1, Probe: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("found and up after %s", time.Since(start).Round(10*time.Millisecond))
	h, ok := c.Host.(*kubernetes.Host)
	if !ok {
		t.Fatalf("%T", c.Host)
	}
	if runs, err := kubernetes.Runs(ctx, h.Config()); err != nil || !slices.Equal(runs, []string{again}) {
		t.Errorf("runs %q, %v; want %s alone", runs, err, again)
	}
	if err := c.Undo.Run(ctx); err != nil {
		t.Error(err)
	}
	if all, err := kind.Clusters(ctx); err != nil || !slices.ContainsFunc(all, kept) {
		t.Errorf("the cluster did not stay: %+v, %v", all, err)
	}
	if runs, err := kubernetes.Runs(ctx, h.Config()); err != nil || len(runs) > 0 {
		t.Errorf("runs %q are left, %v", runs, err)
	}

	other := kind.Options{Name: cluster, KubernetesVersion: "1.20.0"}
	if _, err := (kind.Provider{Options: other}).Up(ctx, clusters.Spec{Name: name(), Ranges: 1, Probe: program}); err == nil || !strings.Contains(err.Error(), "not 1.20.0") {
		t.Errorf("another version: %v", err)
	}
	if notes, err := kindDown(t, name()); err != nil || len(notes) > 0 {
		t.Errorf("a name that nobody has: %q, %v", notes, err)
	}
}

func TestDownWithoutANameSparesWhatIsKeptAndWhatIsInUse(t *testing.T) {
	client(t)
	home := filepath.Join(t.TempDir(), "kind")
	node := func(cluster, mark string) map[string]any {
		dir := filepath.Join(home, "meshbreach-"+cluster)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		policy := filepath.Join(dir, "audit.yaml")
		if err := os.WriteFile(policy, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return map[string]any{
			"Id": cluster, "State": map[string]any{"Status": "exited"},
			"Config": map[string]any{"Labels": map[string]string{"io.x-k8s.kind.cluster": "meshbreach-" + cluster}},
			"Mounts": []any{map[string]any{"Source": policy, "Destination": "/etc/meshbreach/" + mark + "/audit.yaml"}},
		}
	}
	nodes := map[string]map[string]any{"dead": node("dead", "run"), "alive": node("alive", "run"), "lab": node("lab", "kept")}
	use, err := os.Open(filepath.Join(home, "meshbreach-alive", "audit.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer use.Close()
	if err := unix.Flock(int(use.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	removed := make(chan string, 10)
	serve(t, containers(nodes, removed))
	notes, err := kindDown(t, "")
	close(removed)
	var gone []string
	for id := range removed {
		gone = append(gone, id)
	}
	if err != nil || !slices.Equal(gone, []string{"dead"}) {
		t.Errorf("removed %q, %v; notes %q", gone, err, notes)
	}
	left, err := os.ReadDir(home)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	if !slices.ContainsFunc(notes, func(s string) bool { return strings.Contains(s, "cluster alive stays") }) {
		t.Errorf("notes %q", notes)
	}
}

// containers is an engine that has nodes, and that tells which it removed.
func containers(nodes map[string]map[string]any, removed chan<- string) http.Handler {
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	m := http.NewServeMux()
	m.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		answer(w, "OK")
	})
	m.HandleFunc("GET /{v}/info", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"ID": "x", "OSType": "linux"})
	})
	m.HandleFunc("GET /{v}/containers/json", func(w http.ResponseWriter, r *http.Request) {
		all := []any{}
		for id := range nodes {
			if asked := r.URL.Query().Get("filters"); strings.Contains(asked, "=meshbreach-"+id) || !strings.Contains(asked, "=") {
				all = append(all, map[string]any{"Id": id})
			}
		}
		answer(w, all)
	})
	m.HandleFunc("GET /{v}/containers/{id}/json", func(w http.ResponseWriter, r *http.Request) { answer(w, nodes[r.PathValue("id")]) })
	m.HandleFunc("POST /{v}/containers/{id}/kill", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) })
	m.HandleFunc("DELETE /{v}/containers/{id}", func(w http.ResponseWriter, r *http.Request) {
		removed <- r.PathValue("id")
		w.WriteHeader(http.StatusNoContent)
	})
	return m
}

func TestDownRemovesTheFolderOfAClusterThatWentWithItsEngine(t *testing.T) {
	client(t)
	serve(t, containers(nil, nil))
	cache, cluster := t.TempDir(), name()
	t.Setenv("XDG_CACHE_HOME", cache)
	folder := func(name string) string {
		dir := filepath.Join(cache, "meshbreach", "kind", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"audit.yaml", "kubeconfig"} {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	gone, another := folder("meshbreach-"+cluster), folder("elsewhere/meshbreach-"+cluster)
	for _, what := range []string{"", "x/../../elsewhere/meshbreach-" + cluster} {
		if notes, err := kindDown(t, what); err != nil || len(notes) != 0 {
			t.Errorf("down %q: %q, %v", what, notes, err)
		}
	}
	if notes, err := kindDown(t, cluster); err != nil || len(notes) != 1 {
		t.Errorf("%q, %v", notes, err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}
	if _, err := os.Stat(another); err != nil {
		t.Error(err)
	}
}
