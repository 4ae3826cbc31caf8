package istio

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Whoever submits a pod is told what the mesh's own pods ask for a proxy with,
// and nothing of what is the harness's alone.
func TestASubmittedPodAsksForAProxyAsOurOwnPodsDo(t *testing.T) {
	p := &podRuntime{cluster: &cluster{host: &kubernetes.Host{}}, r: clusters.Range{Name: "mb-1-r1"}}
	pod := &corev1.Pod{}
	p.dress(clusters.Workload{Name: "web", Meshed: true}, pod)
	_, pull, labels := p.runsPods()
	if len(labels) == 0 || !reflect.DeepEqual(labels, pod.Labels) {
		t.Errorf("labels %v, our own pods' %v", labels, pod.Labels)
	}
	if pull != string(corev1.PullIfNotPresent) {
		t.Errorf("on nodes that are not ours the image is pulled %s", pull)
	}
}

func TestWhereThereAreNoNodesNobodyRunsPods(t *testing.T) {
	if image, _, _ := (&localRuntime{}).runsPods(); image != "" {
		t.Errorf("on one machine: %s", image)
	}
}
