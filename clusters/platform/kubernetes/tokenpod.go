package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// TokenPod creates a pod that never runs: it names a scheduler that does not
// exist. Account tokens can be bound to it, and it can be deleted without
// ending a workload. A pod that is already there is left alone.
func (h *Host) TokenPod(ctx context.Context, p kubeapi.Pod) error {
	labels := map[string]string{LabelRun: h.run}
	for name, value := range p.Labels {
		labels[name] = value
	}
	_, err := h.kube.CoreV1().Pods(p.Namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: labels},
		Spec: corev1.PodSpec{
			SchedulerName: "meshbreach.test/nobody", ServiceAccountName: p.Account, AutomountServiceAccountToken: ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(int64(0)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "app", Image: "none",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the token pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// RefreshVolumes makes the kubelet update a pod's volumes at once. It changes an
// annotation that nothing reads.
func (h *Host) RefreshVolumes(ctx context.Context, namespace, pod string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		"meshbreach.test/refreshed": time.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return err
	}
	_, err = h.kube.CoreV1().Pods(namespace).Patch(ctx, pod, apitypes.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("refresh the volumes of %s/%s: %w", namespace, pod, err)
	}
	return nil
}
