package kubernetes_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

const (
	gadgetGroup = "gadgets.meshbreach.test"
	gadgetCRD   = "gadgets." + gadgetGroup
)

// gadget is a kind that nobody else has.
func gadget() kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": gadgetCRD},
		"spec": map[string]any{
			"group": gadgetGroup, "scope": "Cluster",
			"names": map[string]any{"kind": "Gadget", "plural": "gadgets"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	}
}

func clusterRole(name string) kubeapi.Object {
	return kubeapi.Object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
		"metadata": map[string]any{"name": name}, "rules": []any{},
	}
}

func TestObjectsOfANewKindAreMadeAndGoWithTheirRunAlone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := kubernetes.Options{Config: config(t), Image: "none"}
	c, h := up(t, ctx, o)
	other, theirs := up(t, ctx, o)
	crds := kubeapi.Object{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": gadgetCRD}}
	t.Cleanup(func() {
		if err := h.API().Delete(context.Background(), crds); err != nil {
			t.Error(err)
		}
	})
	thing := func(name string) kubeapi.Object {
		return kubeapi.Object{"apiVersion": gadgetGroup + "/v1", "kind": "Gadget", "metadata": map[string]any{"name": name}}
	}
	role := "meshbreach-test-" + c.Name
	if err := h.Apply(ctx, gadget(), thing(c.Name), clusterRole(role), clusterRole(role)); err != nil {
		t.Fatal(err)
	}
	err := theirs.Apply(ctx, clusterRole(role))
	if err == nil || !strings.Contains(err.Error(), c.Name) {
		t.Errorf("another run's object was taken: %v", err)
	}
	if err := theirs.Apply(ctx, clusterRole("view")); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("an object of the cluster's own was taken: %v", err)
	}
	// The kind is there by then.
	if err := theirs.Apply(ctx, gadget(), thing(other.Name)); err != nil {
		t.Fatal(err)
	}
	down(t, c)
	rest := kube(t, h.Config())
	if _, err := rest.RbacV1().ClusterRoles().Get(ctx, role, metav1.GetOptions{}); err == nil {
		t.Errorf("%s is left", role)
	}
	var left struct{ Items []kubeapi.Object }
	raw, err := rest.RESTClient().Get().AbsPath("/apis/" + gadgetGroup + "/v1/gadgets").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	unmarshal(t, raw, &left)
	if len(left.Items) != 1 || left.Items[0].Text() != thing(other.Name).Text() {
		t.Errorf("left: %v", left.Items)
	}
}

func TestWhatADeadHarnessLeftIsFoundAndRemoved(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := kubernetes.Options{Config: config(t), Image: "none"}
	c, h := up(t, ctx, o)
	alive, _ := up(t, ctx, o)
	role := "meshbreach-test-" + c.Name
	account := kubeapi.Object{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": role, "namespace": "default"}, "data": map[string]any{},
	}
	if err := h.Apply(ctx, clusterRole(role), account); err != nil {
		t.Fatal(err)
	}
	runs, err := kubernetes.Runs(ctx, o.Config)
	if err != nil || !slices.Contains(runs, c.Name) {
		t.Fatalf("runs %q (%v)", runs, err)
	}
	var mu sync.Mutex
	var notes []string
	err = kubernetes.Remove(ctx, o.Config, c.Name, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ClusterRole " + role, "ConfigMap default/" + role, "namespace mb-" + c.Name + "-r1-prod"} {
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("no note of %s in %q", want, notes)
		}
	}
	runs, err = kubernetes.Runs(ctx, o.Config)
	if err != nil || slices.Contains(runs, c.Name) || !slices.Contains(runs, alive.Name) {
		t.Errorf("runs %q (%v)", runs, err)
	}
}

// program is a deployment of the probe's image.
func program(ref, namespace, name string, replicas int, command ...string) kubeapi.Object {
	labels := map[string]any{"app": name}
	return kubeapi.Object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec": map[string]any{
			"replicas": replicas, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{
				"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false,
				"containers": []any{map[string]any{"name": "main", "image": ref, "imagePullPolicy": "Never", "command": command, "volumeMounts": []any{map[string]any{"name": "run", "mountPath": "/run"}}}},
				"volumes":    []any{map[string]any{"name": "run", "emptyDir": map[string]any{}}},
			}},
		},
	}
}

func TestADeploymentIsWaitedForThroughItsRollouts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ref := image(t)
	c, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: "none"})
	ns := "mb-" + c.Name + "-extra"
	if err := h.Namespace(ctx, ns, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}); err != nil {
		t.Fatal(err)
	}
	k := kube(t, h.Config())
	pods := func() int {
		all, err := k.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Items)
	}
	for _, step := range []struct {
		replicas int
		socket   string
	}{{1, "/run/a"}, {2, "/run/a"}, {2, "/run/b"}, {0, "/run/b"}} {
		if err := h.Apply(ctx, program(ref, ns, "main", step.replicas, "/probe", "-serve", step.socket)); err != nil {
			t.Fatal(err)
		}
		if err := h.Deployed(ctx, ns, "main"); err != nil {
			t.Fatal(err)
		}
		if n := pods(); n != step.replicas {
			t.Errorf("%+v: %d pods", step, n)
		}
	}
	if err := h.Apply(ctx, program(ref, ns, "main", 1, "/nosuch")); err != nil {
		t.Fatal(err)
	}
	err := h.Deployed(ctx, ns, "main")
	if err == nil || !strings.Contains(err.Error(), "/nosuch") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestALogIsFollowedThroughARestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ref := image(t)
	c, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: ref})
	ns := c.Ranges[0].Workloads[0].Namespace
	if err := h.Namespace(ctx, ns, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"}); err != nil {
		t.Fatal(err)
	}
	_, err := kube(t, h.Config()).CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "talker"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{
				Name: "main", Image: ref, ImagePullPolicy: corev1.PullNever, Command: []string{"/probe", "-nosuchflag"},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	var starts int
	if err := h.Follow(follow, ns, "talker", "main", func(line []byte) {
		if strings.Contains(string(line), "not defined: -nosuchflag") {
			if starts++; starts == 3 {
				stop()
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if starts != 3 || ctx.Err() != nil {
		t.Errorf("%d starts were seen", starts)
	}
	if err := h.Follow(ctx, ns, "nobody", "main", func([]byte) {}); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("a pod that is not there: %v", err)
	}
}
