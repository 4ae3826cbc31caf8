package kind_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"

	"github.com/meshbreach/meshbreach/attacker/session"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// faults hangs a probe and lets it go on, and kills what stands in for a proxy.
func faults(t *testing.T, ctx context.Context, c *clusters.Cluster, h *kubernetes.Host) { //nolint:revive // t first, as tests do
	w := c.Ranges[0].Workloads[0]
	epoch := greet(t, ctx, h, w)
	if err := h.Fault(ctx, w, clusters.PartProbe, clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	stream, err := h.Stream(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	hung := session.Connect(stream)
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if hello, err := hung.Hello(short); err == nil {
		t.Errorf("a hung probe answers: %+v", hello)
	}
	_ = hung.Close()
	if err := h.Fault(ctx, w, clusters.PartProbe, clusters.FaultResume); err != nil {
		t.Fatal(err)
	}
	if again := greet(t, ctx, h, w); again != epoch {
		t.Errorf("epoch %s, was %s", again, epoch)
	}

	// Its proxy is whatever runs beside it.
	api, err := clientset.NewForConfig(h.Config())
	if err != nil {
		t.Fatal(err)
	}
	pod := proxied(t, ctx, api, w)
	if err := h.Fault(ctx, pod, clusters.PartProxy, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := api.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range now.Status.ContainerStatuses {
			if ended := s.State.Terminated; ended != nil {
				if s.Name != "proxy" || ended.ExitCode != 137 {
					t.Errorf("%s ended with %d", s.Name, ended.ExitCode)
				}
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatal("nothing was killed")
		case <-tick.C:
		}
	}
}

// proxied is a pod of a workload's kind with a second container, which waits.
func proxied(t *testing.T, ctx context.Context, api clientset.Interface, w clusters.Workload) clusters.Workload { //nolint:revive // t first, as tests do
	t.Helper()
	pods := api.CoreV1().Pods(w.Namespace)
	like, err := pods.Get(ctx, kubernetes.Pod(w), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "proxied"}, Spec: *like.Spec.DeepCopy()}
	pod.Spec.NodeName, pod.Spec.RestartPolicy = "", corev1.RestartPolicyNever
	proxy := *pod.Spec.Containers[0].DeepCopy()
	proxy.Name, proxy.Args, proxy.Command, proxy.Stdin, proxy.Ports = "proxy", nil, nil, true, nil
	proxy.ReadinessProbe, proxy.LivenessProbe, proxy.StartupProbe = nil, nil, nil
	pod.Spec.Containers = append(pod.Spec.Containers, proxy)
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if now.Status.Phase == corev1.PodRunning {
			w.Name = pod.Name
			return w
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the pod is %+v", now.Status)
		case <-tick.C:
		}
	}
}

// greet returns the epoch of a workload's probe.
func greet(t *testing.T, ctx context.Context, h *kubernetes.Host, w clusters.Workload) string { //nolint:revive // t first, as tests do
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	stream, err := h.Stream(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	c := session.Connect(stream)
	defer func() { _ = c.Close() }()
	hello, err := c.Hello(ctx)
	if err != nil || hello.Epoch == "" {
		t.Fatalf("%s: %+v, %v", w.Name, hello, err)
	}
	return hello.Epoch
}
