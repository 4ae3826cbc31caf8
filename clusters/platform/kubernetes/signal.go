package kubernetes

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/clusters"
)

// Signal kills, hangs or resumes all processes of a pod's container, which the
// owner of the nodes does; ErrNoNodes where that is nobody of ours.
func (h *Host) Signal(ctx context.Context, namespace, pod, name string, f clusters.Fault) error {
	what := fmt.Sprintf("%s container %s of %s/%s", f, name, namespace, pod)
	nodes, ok := h.nodes.(Signaller)
	if !ok {
		return fmt.Errorf("%s: %w", what, ErrNoNodes)
	}
	found, err := h.kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	for _, s := range containers(found) {
		if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.Name == name && s.State.Running != nil {
			if err := nodes.Signal(ctx, found.Spec.NodeName, id, f); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		}
	}
	return fmt.Errorf("%s: it does not run", what)
}
