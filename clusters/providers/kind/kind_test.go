package kind_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	registry "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

// limit bounds what a real cluster may take for one test.
const limit = 5 * time.Minute

// probe builds the program that the image is made of.
func probe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-o", path, "github.com/meshbreach/meshbreach/cmd/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// engine skips a test where no engine answers, or where it would have to pull
// the image of a node.
func engine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a cluster takes its time")
	}
	if err := kind.Answers(t.Context()); err != nil {
		t.Skip(err)
	}
	if len(docker(t, "image", "ls", "--quiet", "kindest/node")) == 0 {
		t.Skip("the container engine has no image of a node; hack/offline makes one")
	}
}

// docker is what a command of the engine wrote, in words.
func docker(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.Fields(string(out))
}

// user makes a home for a user who has a kubeconfig, and the function that
// fails the test when that was touched.
func user(t *testing.T) (untouched func()) {
	t.Helper()
	home := t.TempDir()
	kubeconfig := filepath.Join(home, ".kube", "config")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: production\n# mine\n"
	if err := os.MkdirAll(filepath.Dir(kubeconfig), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("KUBECONFIG", "")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	return func() {
		t.Helper()
		now, err := os.ReadFile(kubeconfig)
		if err != nil || string(now) != text {
			t.Errorf("the user's kubeconfig is now %q, %v", now, err)
		}
		if after, err := os.Stat(kubeconfig); err != nil || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("the user's kubeconfig was written: %v", err)
		}
	}
}

// nothing fails the test when the engine still has something of a cluster, or
// the user's cache.
func nothing(t *testing.T, name string) {
	t.Helper()
	if left := docker(t, "ps", "--all", "--quiet", "--filter", "name=meshbreach-"+name); len(left) > 0 {
		t.Errorf("containers %q are left", left)
		docker(t, append([]string{"rm", "--force", "--volumes"}, left...)...)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "meshbreach", "kind", "*")); err != nil || len(left) > 0 {
		t.Errorf("%q are left, %v", left, err)
	}
}

func name() string { return fmt.Sprintf("b%07d", rand.IntN(1e7)) }

func TestAClusterIsMadeUsedAndTakenAway(t *testing.T) {
	engine(t)
	program := probe(t)
	untouched := user(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	run := name()
	start := time.Now()
	c, err := kind.Provider{Options: kind.Options{Note: func(s string) { t.Log(s) }}}.Up(ctx, clusters.Spec{Name: run, Ranges: 1, Probe: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %s", time.Since(start).Round(100*time.Millisecond))
	t.Cleanup(func() {
		start := time.Now()
		undo, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := c.Undo.Run(undo); err != nil {
			t.Error(err)
		}
		t.Logf("down after %s", time.Since(start).Round(100*time.Millisecond))
		nothing(t, run)
		untouched()
	})
	untouched()
	h, ok := c.Host.(*kubernetes.Host)
	if !ok || c.Provider != "kind" {
		t.Fatalf("%T, %s", c.Host, c.Provider)
	}

	t.Run("its probes answer", func(t *testing.T) { answers(t, ctx, c, h) })
	t.Run("its audit log has reviews and no tokens", func(t *testing.T) { audits(t, ctx, h) })
	t.Run("its account key is ours", func(t *testing.T) {
		if key, err := h.AccountKey(ctx); err != nil || key == nil {
			t.Error(err)
		}
	})
	t.Run("it is listed, and stays while it is in use", func(t *testing.T) {
		i := func(c kind.Cluster) bool { return c.Name == run && c.InUse && c.Running && !c.Kept }
		if all, err := kind.Clusters(ctx); err != nil || !slices.ContainsFunc(all, i) {
			t.Errorf("%+v, %v", all, err)
		}
		if err := kind.Down(ctx, run, func(s string) { t.Log(s) }); !errors.Is(err, kind.ErrInUse) {
			t.Errorf("error %v, want %v", err, kind.ErrInUse)
		}
	})
	t.Run("it is given images that the engine has", func(t *testing.T) { loads(t, ctx, h, run) })
	t.Run("its containers are killed, hung and resumed", func(t *testing.T) { faults(t, ctx, c, h) })
}

// answers launches the range and greets every probe.
func answers(t *testing.T, ctx context.Context, c *clusters.Cluster, h *kubernetes.Host) { //nolint:revive // t first, as tests do
	if err := h.Launch(ctx, &c.Ranges[0], nil); err != nil {
		t.Fatal(err)
	}
	for _, w := range c.Ranges[0].Workloads {
		greet(t, ctx, h, w)
	}
}

// audits waits for a review of a token, and looks through all that came.
func audits(t *testing.T, ctx context.Context, h *kubernetes.Host) { //nolint:revive // t first, as tests do
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var mu sync.Mutex
	var tokens, hidden int
	done := make(chan error, 1)
	go func() {
		done <- h.Audit(ctx, func(line []byte) {
			var event struct {
				ObjectRef      struct{ Resource, Subresource string }
				ResponseObject struct{ Status json.RawMessage }
			}
			if err := json.Unmarshal(line, &event); err != nil {
				t.Errorf("%.80s: %v", line, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if event.ObjectRef.Resource == "serviceaccounts" && event.ObjectRef.Subresource == "token" {
				tokens++
				cancel()
			}
			if strings.Contains(string(event.ResponseObject.Status), `"token":"(hidden)"`) {
				hidden++
			}
			if strings.Contains(string(line), "eyJ") {
				t.Errorf("a token: %.80s", line)
			}
		})
	}()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if tokens == 0 || hidden == 0 {
		t.Errorf("%d requests for tokens, %d tokens hidden", tokens, hidden)
	}
}

// loads gives the nodes an image, and then another of the same name.
func loads(t *testing.T, ctx context.Context, h *kubernetes.Host, run string) { //nolint:revive // t first, as tests do
	ref := "meshbreach.test/mesh:" + run
	t.Cleanup(func() { docker(t, "image", "rm", "--force", ref) })
	for range 2 {
		tag, err := registry.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		img, err := random.Image(1<<10, 1)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "mesh.tar")
		if err := tarball.WriteToFile(file, tag, img); err != nil {
			t.Fatal(err)
		}
		docker(t, "load", "--input", file)
		id := docker(t, "image", "inspect", "--format", "{{.Id}}", ref)[0]
		for range 2 { // the second time it is there
			start := time.Now()
			if err := h.Images(ctx, ref, "meshbreach.test/nowhere:1"); err != nil {
				t.Fatal(err)
			}
			t.Logf("loaded after %s", time.Since(start).Round(time.Millisecond))
		}
		held := docker(t, "exec", "meshbreach-"+run+"-control-plane", "ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
		if !slices.Contains(held, ref) || !slices.Contains(held, id) {
			t.Errorf("the node has %q, not %s", held, id)
		}
	}
}
