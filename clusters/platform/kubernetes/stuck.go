package kubernetes

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// roomTime is how long a pod may find no place: others may just be leaving.
	roomTime = 10 * time.Second
	// configTime is how long a container may lack what others still make for it.
	configTime = 10 * time.Second
	// pullTime is how long an image may fail to come: a registry may stumble once.
	pullTime = 3 * time.Second
)

// hopeless are the reasons why a container does not start, with how long each
// may last before it is believed.
func hopeless(reason string) (time.Duration, bool) {
	switch reason {
	case "ErrImageNeverPull", "InvalidImageName", "CrashLoopBackOff", "RunContainerError", "ImageInspectError":
		return 0, true
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable":
		return pullTime, true
	case "CreateContainerConfigError", "CreateContainerError":
		return configTime, true
	}
	return 0, false
}

// judge says how far a pod is.
func judge(pod *corev1.Pod) state {
	who := "pod " + pod.Namespace + "/" + pod.Name
	if pod.DeletionTimestamp != nil {
		return state{problem: who + " is being deleted"}
	}
	switch pod.Status.Phase {
	case corev1.PodFailed, corev1.PodSucceeded:
		return state{problem: strings.TrimRight(fmt.Sprintf("%s has ended: %s", who, ending(pod)), ": ")}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return state{problem: fmt.Sprintf("%s finds no node: %s", who, c.Message), patience: roomTime}
		}
	}
	for _, s := range containers(pod) {
		w := s.State.Waiting
		if w == nil {
			continue
		}
		if patience, bad := hopeless(w.Reason); bad {
			return state{problem: fmt.Sprintf("%s, container %s, image %s: %s", who, s.Name, s.Image, waiting(s)), patience: patience}
		}
	}
	if isReady(pod) && pod.Status.PodIP != "" {
		return state{done: true}
	}
	return state{missing: who + " is not ready: " + unready(pod)}
}

func containers(pod *corev1.Pod) []corev1.ContainerStatus {
	all := append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...)
	return append(all, pod.Status.ContainerStatuses...)
}

// waiting is why a container does not start, and how it ended last.
func waiting(s corev1.ContainerStatus) string {
	said := s.State.Waiting.Reason
	if m := s.State.Waiting.Message; m != "" {
		said += ": " + m
	}
	if t := s.LastTerminationState.Terminated; t != nil {
		said += fmt.Sprintf(" (last: %s)", terminated(t))
	}
	return said
}

func terminated(t *corev1.ContainerStateTerminated) string {
	said := fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode)
	if t.Message != "" {
		said += ": " + strings.TrimSpace(t.Message)
	}
	return said
}

// ending is why a pod ended: its own reason, or its containers'.
func ending(pod *corev1.Pod) string {
	var all []string
	if pod.Status.Reason != "" || pod.Status.Message != "" {
		all = append(all, strings.Trim(pod.Status.Reason+": "+pod.Status.Message, ": "))
	}
	for _, s := range containers(pod) {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			all = append(all, fmt.Sprintf("container %s: %s", s.Name, terminated(t)))
		}
	}
	return strings.Join(all, "; ")
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// unready is what a pod that has no problem still lacks.
func unready(pod *corev1.Pod) string {
	for _, s := range containers(pod) {
		switch {
		case s.State.Waiting != nil:
			return fmt.Sprintf("container %s waits: %s", s.Name, waiting(s))
		case s.State.Running != nil && !s.Ready:
			return fmt.Sprintf("container %s runs and is not ready", s.Name)
		}
	}
	if pod.Spec.NodeName == "" {
		return "no node has it yet"
	}
	return "no container was started"
}
