package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/e2e-framework/klient/wait"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// limit bounds what a real cluster may take for one test.
const limit = 2 * time.Minute

// config reaches the cluster that these tests may use, with namespaces of
// their own. MESHBREACH_TEST_CONTEXT names it.
func config(t testing.TB) *rest.Config {
	t.Helper()
	name := os.Getenv("MESHBREACH_TEST_CONTEXT")
	if name == "" {
		t.Skip("MESHBREACH_TEST_CONTEXT names no cluster to test on")
	}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// image is that of the probe, which is given to the one node of a cluster that
// kind made.
func image(t testing.TB) string {
	t.Helper()
	_ = config(t) // or else it is not asked for
	ref, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

var loaded = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	probe, archive := filepath.Join(dir, "probe"), filepath.Join(dir, "probe.tar")
	build := exec.Command("go", "build", "-trimpath", "-o", probe, "github.com/meshbreach/meshbreach/cmd/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	ref, err := kubernetes.Image(probe, archive)
	if err != nil {
		return "", err
	}
	in, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	node := strings.TrimPrefix(os.Getenv("MESHBREACH_TEST_CONTEXT"), "kind-") + "-control-plane"
	load := exec.Command("docker", "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-")
	load.Stdin = in
	if out, err := load.CombinedOutput(); err != nil {
		return "", fmt.Errorf("load the probe's image: %w\n%s", err, out)
	}
	return ref, nil
})

func unmarshal(t testing.TB, raw []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func kube(t testing.TB, c *rest.Config) *clientset.Clientset {
	t.Helper()
	k, err := clientset.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func runName() string { return fmt.Sprintf("a%07d", rand.IntN(1e7)) }

// up makes a cluster of one range that is gone when the test is over.
func up(t testing.TB, ctx context.Context, o kubernetes.Options) (*clusters.Cluster, *kubernetes.Host) { //nolint:revive // t first, as tests do
	t.Helper()
	c, err := kubernetes.Up(ctx, o, clusters.Spec{Name: runName(), Ranges: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { down(t, c) })
	h, ok := c.Host.(*kubernetes.Host)
	if !ok {
		t.Fatalf("the host is a %T", c.Host)
	}
	return c, h
}

func down(t testing.TB, c *clusters.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := c.Undo.Run(ctx); err != nil {
		t.Errorf("undo: %v", err)
	}
}

// launched is a range with its pods.
func launched(t testing.TB, ctx context.Context) (*clusters.Cluster, *kubernetes.Host) { //nolint:revive // t first, as tests do
	t.Helper()
	o := kubernetes.Options{Config: config(t), Image: image(t)}
	c, h := up(t, ctx, o)
	if err := h.Launch(ctx, &c.Ranges[0], nil); err != nil {
		t.Fatal(err)
	}
	return c, h
}

func member(t testing.TB, c *clusters.Cluster, name string) clusters.Workload {
	t.Helper()
	w, err := c.Ranges[0].Workload(name)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// meet opens a session with a workload's probe.
func meet(t testing.TB, ctx context.Context, h *kubernetes.Host, w clusters.Workload) (*session.Client, session.Hello) { //nolint:revive // t first, as tests do
	t.Helper()
	stream, err := h.Stream(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	client := session.Connect(stream)
	t.Cleanup(func() { _ = client.Close() })
	said, err := client.Hello(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return client, said
}

func serve(t testing.TB, ctx context.Context, c *session.Client) { //nolint:revive // t first, as tests do
	t.Helper()
	err := c.Serve(ctx, []attacker.Listen{{Port: clusters.PortHTTP, Protocol: "http"}})
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a fact.
func eventually(t testing.TB, ctx context.Context, what string, fact func() error) { //nolint:revive // t first, as tests do
	t.Helper()
	var last error
	err := wait.For(func(context.Context) (bool, error) {
		last = fact()
		return last == nil, nil
	}, wait.WithContext(ctx), wait.WithImmediate(), wait.WithInterval(50*time.Millisecond))
	if err != nil {
		t.Fatalf("%s: %v", what, errors.Join(last, err))
	}
}

func labelled(ctx context.Context, k *clientset.Clientset, run string) ([]corev1.Namespace, error) {
	got, err := k.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: kubernetes.LabelRun + "=" + run})
	if err != nil {
		return nil, err
	}
	return got.Items, nil
}
