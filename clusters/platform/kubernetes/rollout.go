package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// rolledOut is how far a deployment's rollout is.
func rolledOut(deployments, pods *view, name string) state {
	d, ok := deployments.objects[name].(*appsv1.Deployment)
	if !ok {
		return state{problem: "it is gone"}
	}
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	settled := s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
	for _, c := range d.Status.Conditions {
		// No pod could be made at all: an admission, or a quota.
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue && s.ObservedGeneration >= d.Generation {
			return state{problem: c.Message, patience: configTime}
		}
	}
	live := 0
	for _, key := range slices.Sorted(maps.Keys(pods.objects)) {
		pod, ok := pods.objects[key].(*corev1.Pod)
		if !ok {
			continue
		}
		if pod.DeletionTimestamp != nil {
			return state{missing: fmt.Sprintf("pod %s is still there", pod.Name)}
		}
		live++
		// One that is older may be ill: that is why it is replaced.
		if one := judge(pod); one.problem != "" && newest(pod, pods) {
			return one
		}
	}
	if !settled || live != int(want) {
		return state{missing: fmt.Sprintf("of %d replicas, %d are up to date and %d are available; there are %d pods", want, s.UpdatedReplicas, s.AvailableReplicas, live)}
	}
	return state{done: true}
}

// newest says whether no pod is younger.
func newest(pod *corev1.Pod, pods *view) bool {
	for _, o := range pods.objects {
		if other, ok := o.(*corev1.Pod); ok && pod.CreationTimestamp.Before(&other.CreationTimestamp) {
			return false
		}
	}
	return true
}
