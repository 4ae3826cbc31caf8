package kubernetes

import (
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// Ranges are those that Up would make. Nobody in them is anywhere yet.
func Ranges(spec clusters.Spec) ([]clusters.Range, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	var all []clusters.Range
	for i := range spec.Ranges {
		all = append(all, stage(spec, i+1))
	}
	return all, nil
}

// Plan are the objects that Up and Launch would make for the ranges of a run,
// in their order. A nil dress changes nothing. It asks no cluster.
func Plan(image string, spec clusters.Spec, dress Dress) ([]kubeapi.Object, error) {
	ranges, err := Ranges(spec)
	if err != nil {
		return nil, err
	}
	h := &Host{run: spec.Name, image: image}
	var all []kubeapi.Object
	lease, err := asObject(h.lease(), coordinationv1.SchemeGroupVersion.WithKind("Lease"))
	all = append(all, lease)
	add := func(o any, kind string) {
		if err == nil {
			var plain kubeapi.Object
			plain, err = asObject(o, corev1.SchemeGroupVersion.WithKind(kind))
			all = append(all, plain)
		}
	}
	for _, r := range ranges {
		for _, name := range namespaces(r) {
			add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{LabelRun: h.run, LabelRange: r.Name, enforce: "restricted"},
			}}, "Namespace")
		}
		accounts := map[string]bool{}
		for _, w := range r.Workloads {
			if a := w.Namespace + "/" + w.Account; !accounts[a] {
				accounts[a] = true
				add(h.account(w), "ServiceAccount")
			}
			if w.Serves() {
				add(h.service(w), "Service")
			}
			pod := h.pod(w)
			if dress != nil {
				dress(w, pod)
			}
			add(pod, "Pod")
		}
	}
	return all, err
}

// asObject is a typed object as the API has it, without its empty status.
func asObject(o any, kind schema.GroupVersionKind) (kubeapi.Object, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", kind.Kind, err)
	}
	var plain kubeapi.Object
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, fmt.Errorf("write %s: %w", kind.Kind, err)
	}
	delete(plain, "status")
	plain["apiVersion"], plain["kind"] = kind.GroupVersion().String(), kind.Kind
	return plain, nil
}
