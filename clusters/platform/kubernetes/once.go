package kubernetes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// An Ending is how a program ended: its exit code, and the end of what it said
// where that is not 0.
type Ending struct {
	Code int
	Said string
}

// Once runs a program of an image to its end, in a pod of its own, as level
// "restricted" of Pod Security wants it. An error means that it could not be run.
// The pod goes with its namespace.
func (h *Host) Once(ctx context.Context, namespace, name, image string, command ...string) (Ending, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{LabelRun: h.run}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			EnableServiceLinks:           ptr.To(false),
			RestartPolicy:                corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Command: command,
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				SecurityContext:          restricted(),
			}},
		},
	}
	what := fmt.Sprintf("run %s of %s", command[0], image)
	if _, err := h.kube.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: manager}); err != nil {
		return Ending{}, fmt.Errorf("%s: %w", what, err)
	}
	var end *corev1.ContainerStateTerminated
	pods := look(h.kube.CoreV1().RESTClient(), "pods", namespace, "", "metadata.name="+name)
	err := await(ctx, func() state {
		now, ok := pods.objects[name].(*corev1.Pod)
		if !ok {
			return state{problem: "pod " + name + " is gone"}
		}
		for _, s := range now.Status.ContainerStatuses {
			if end = s.State.Terminated; end != nil {
				return state{done: true}
			}
		}
		if so := judge(now); !so.done {
			return so
		}
		return state{missing: "pod " + name + " still runs"}
	}, pods)
	if err != nil {
		return Ending{}, fmt.Errorf("%s: %w", what, h.explain(ctx, namespace, err))
	}
	return Ending{int(end.ExitCode), end.Message}, nil
}
