package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// remove takes away what this run made, all namespaces at once, and returns
// when it is gone. Its error names what is left.
func (h *Host) remove(ctx context.Context) error {
	ctx = quiet(ctx)
	h.mu.Lock()
	objects := h.objects
	names := slices.Sorted(maps.Keys(h.namespaces))
	h.mu.Unlock()
	var errs []error
	for _, m := range slices.Backward(objects) {
		if err := h.at(m).Delete(ctx, m.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("%s is left: %w", m, err))
		}
	}
	if err := errors.Join(append(errs, empty(ctx, h.kube, names))...); err != nil {
		return err
	}
	// A mesh may have made things by the API itself; they carry the run's label.
	return Remove(ctx, h.config, h.run, func(string) {})
}

// empty takes namespaces away and waits until they are gone.
func empty(ctx context.Context, kube kubernetes.Interface, names []string) error {
	errs := make([]error, len(names))
	var g errgroup.Group
	for i, name := range names {
		g.Go(func() error {
			if err := vacate(ctx, kube, name); err != nil {
				errs[i] = fmt.Errorf("namespace %s is left: %w", name, err)
			}
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs: all of them are wanted
	return errors.Join(errs...)
}

func vacate(ctx context.Context, kube kubernetes.Interface, name string) error {
	core := kube.CoreV1()
	// The API waits 5 s before it empties a namespace: the pods end meanwhile.
	_ = core.Pods(name).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(1))}, metav1.ListOptions{})
	err := core.Namespaces().Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil && !apierrors.IsConflict(err) { // it is going already
		return err
	}
	spaces := look(core.RESTClient(), "namespaces", "", "", "metadata.name="+name)
	return await(ctx, func() state {
		ns, ok := spaces.objects[name].(*corev1.Namespace)
		if !ok {
			return state{done: true}
		}
		return state{missing: lingering(ns)}
	}, spaces)
}

// lingering is what keeps a namespace from going.
func lingering(ns *corev1.Namespace) string {
	said := "it is " + string(ns.Status.Phase)
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			said += "; " + c.Message
		}
	}
	return said
}
