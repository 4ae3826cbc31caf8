package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters"
)

// faultTime bounds the making of a fault.
const faultTime = 15 * time.Second

// Fault does something bad to a part of a workload. A probe is killed by
// evicting its pod; everything else is done by the owner of the nodes, and is
// ErrNoNodes where that is nobody of ours.
func (h *Host) Fault(ctx context.Context, w clusters.Workload, part clusters.Part, f clusters.Fault) error {
	ctx, cancel := context.WithTimeout(ctx, faultTime)
	defer cancel()
	if err := h.fault(ctx, w, part, f); err != nil {
		return fmt.Errorf("%s the %s of %s: %w", f, part, place(w), err)
	}
	return nil
}

func (h *Host) fault(ctx context.Context, w clusters.Workload, part clusters.Part, f clusters.Fault) error {
	pods := h.kube.CoreV1().Pods(w.Namespace)
	if part == clusters.PartProbe && f == clusters.FaultKill {
		return pods.Delete(ctx, Pod(w), metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
	}
	nodes, ok := h.nodes.(Signaller)
	if !ok {
		return ErrNoNodes
	}
	pod, err := pods.Get(ctx, Pod(w), metav1.GetOptions{})
	if err != nil {
		return err
	}
	id, err := container(pod, part)
	if err != nil {
		return err
	}
	return nodes.Signal(ctx, pod.Spec.NodeName, id, f)
}

// container is the runtime's id of a part's container. The proxy is whatever
// keeps running beside the probe.
func container(pod *corev1.Pod, part clusters.Part) (string, error) {
	if part != clusters.PartProbe && part != clusters.PartProxy {
		return "", errors.New("no such part")
	}
	for _, s := range containers(pod) {
		if (s.Name == containerProbe) != (part == clusters.PartProbe) || s.State.Running == nil {
			continue
		}
		_, id, ok := strings.Cut(s.ContainerID, "://")
		if !ok {
			return "", fmt.Errorf("container %s has the unexpected id %q", s.Name, s.ContainerID)
		}
		return id, nil
	}
	return "", errors.New("none is running")
}
