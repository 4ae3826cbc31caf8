package istio

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Plan are the objects that an installation on a cluster with nodes would make
// for ranges before there is any policy, in their order, and what it changes in
// their pods. Keys are left out. A namespace in it is one that is there by then
// and gets these labels, but for that of the control plane. It asks no cluster;
// of the charts' address it may ask.
func (m Mesh) Plan(ctx context.Context, rel meshes.Release, ranges []clusters.Range) ([]kubeapi.Object, kubernetes.Dress, error) {
	charts, err := findCharts(ctx, rel)
	if err != nil {
		return nil, nil, err
	}
	on := &cluster{charts: charts}
	on.hub, on.tag = images(rel, charts)
	all, err := charts.kinds.Render(ctx, rootNamespace(ranges[0]), map[string]any{"defaultRevision": ""})
	if err != nil {
		return nil, nil, err
	}
	var out []kubeapi.Object
	for _, o := range all {
		if o["kind"] == "CustomResourceDefinition" {
			out = append(out, o)
		}
	}
	dresses := map[string]kubernetes.Dress{}
	for _, r := range ranges {
		p := &podRuntime{cluster: on, mesh: m, r: r}
		dresses[r.Name] = p.dress
		objects, err := p.planned(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("plan %s: %w", r.Name, err)
		}
		out = append(out, objects...)
	}
	dress := func(w clusters.Workload, pod *corev1.Pod) { dresses[w.Range](w, pod) }
	return out, dress, nil
}

// planned are the objects of a range.
func (p *podRuntime) planned(ctx context.Context) ([]kubeapi.Object, error) {
	override, err := podOverride()
	if err != nil {
		return nil, err
	}
	out := []kubeapi.Object{space(rootNamespace(p.r), map[string]any{labelRange: p.r.Name, enforce: "restricted"})}
	for _, namespace := range meshedNamespaces(p.r) {
		out = append(out, space(namespace, map[string]any{enforce: "privileged"}), bootstrapMap(namespace, override))
	}
	d := newPodPilot(p)
	objects, err := d.render(ctx, plan{}, 1)
	if err != nil {
		return nil, err
	}
	out = append(out, kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": d.namespace(), "name": "cacerts"},
	})
	return append(out, objects...), nil
}

// enforce is the label by which a namespace asks for a level of Pod Security.
const enforce = "pod-security.kubernetes.io/enforce"

func space(name string, labels map[string]any) kubeapi.Object {
	return kubeapi.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": labels}}
}

// podOverride is the bootstrap of every proxy in a pod.
func podOverride() ([]byte, error) {
	return json.Marshal(bootstrapOverride(map[string]any{
		"socket_address": map[string]any{"address": "127.0.0.1", "port_value": portWorker},
	}))
}

func bootstrapMap(namespace string, override []byte) kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": namespace, "name": nameBootstrap},
		"data":     map[string]any{keyBootstrap: string(override)},
	}
}
