package istio

import (
	"fmt"
	"path"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// labelRange is on every namespace of a range; its istiod sees no others.
const labelRange = "meshbreach.test/range"

// labelRun is on everything that a run makes.
const labelRun = "meshbreach.test/run"

// rootNamespace is where a range's mesh-wide objects are.
func rootNamespace(r clusters.Range) string { return r.Name + "-istio" }

// namespaceOf is a namespace of the cast in the one API that all ranges share.
func namespaceOf(r clusters.Range, namespace string) string { return r.Name + "-" + namespace }

// pod is the name of a workload's pod, and the value of its label app.
func pod(w clusters.Workload) string { return path.Base(w.Name) }

// object begins an object of Istio's.
func object(group, kind, namespace, name string, spec map[string]any) kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": group, "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec":     spec,
	}
}

// The groups of Istio's kinds.
const (
	groupSecurity   = "security.istio.io/v1"
	groupNetworking = "networking.istio.io/v1"
	groupFilters    = "networking.istio.io/v1alpha3"
)

// selector chooses one workload.
func selector(w clusters.Workload) map[string]any {
	return map[string]any{"matchLabels": map[string]string{"app": pod(w)}}
}

// serviceHost is a workload's service name.
func serviceHost(w clusters.Workload) string {
	return fmt.Sprintf("%s.%s.svc.cluster.local", pod(w), w.Namespace)
}
