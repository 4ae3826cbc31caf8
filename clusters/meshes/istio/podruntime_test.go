package istio

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// The cluster that tests may use, and the probe's image that its nodes have.
// With them the tests run there, and without on provider local.
const (
	variableContext = "MESHBREACH_TEST_CONTEXT"
	variableImage   = "MESHBREACH_TEST_IMAGE"
)

func onCluster() bool { return os.Getenv(variableContext) != "" }

// onPods is a cluster of pods in place of provider local.
func onPods(ctx context.Context, s clusters.Spec) (*clusters.Cluster, error) {
	image := os.Getenv(variableImage)
	if image == "" {
		return nil, errors.New(variableImage + " names no image of the probe")
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: os.Getenv(variableContext)}).ClientConfig()
	if err != nil {
		return nil, err
	}
	s.Name += "-" + strconv.FormatInt(time.Now().Unix()%1e6, 36)
	return kubernetes.Up(ctx, kubernetes.Options{Config: config, Image: image}, s)
}

// localOnly is for tests of what only provider local can do to a mesh.
func localOnly(t testing.TB) {
	t.Helper()
	if onCluster() {
		t.Skip("NOT TESTED on a cluster: this test kills processes of provider local")
	}
}

// A control plane without pods is seen at once, and the mesh holds its policy.
func TestWithoutPodsOfIstiodThePolicyHoldsAndNoChangeArrives(t *testing.T) {
	if !onCluster() {
		t.Skip("istiod is a process here: see the test that kills it")
	}
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	d, ok := b.mesh.stages[b.Range().Name].pilot.(*podPilot)
	if !ok {
		t.Fatal("istiod is no deployment")
	}
	if err := d.roll(limit(t), d.plan, 0); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{"web": "served 200", "thief": "http 403 RBAC: access denied envoy"} {
		if o := b.Request(t, from, b.Charge(t, from)); meshtest.Says(o) != want {
			t.Errorf("%s without istiod: %s", from, meshtest.Says(o))
		}
	}
	start := time.Now()
	meshtest.Wants(t, b.Unsettled(t, generous(), 20*time.Second), "bank", "no change arrives any more", "is ready")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s to see that istiod is away", took)
	}
	if err := d.roll(limit(t), d.plan, 1); err != nil {
		t.Fatal(err)
	}
	b.Apply(t, meshtest.Friendly())
}

func TestAPolicyThatAsksForShortLivesIsRefusedOnPods(t *testing.T) {
	if !onCluster() {
		t.Skip("leaves live as long as a policy says here")
	}
	b := shared(t)
	p := meshtest.Friendly()
	p.Identity.Leaf = 2 * time.Second
	_, err := b.mesh.Apply(limit(t), b.Range(), p)
	meshtest.Wants(t, err, "set when a pod is made")
	b.Apply(t, meshtest.Friendly())
	if slices.Contains(b.mesh.Capabilities(), meshes.CanShortLive) {
		t.Error("the mesh says that it can do it")
	}
}
