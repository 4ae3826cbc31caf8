package istio

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/kubernetes"
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
