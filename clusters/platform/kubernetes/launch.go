package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/clusters"
)

// Launch makes the accounts, pods and services of a range, waits until they
// are ready and fills in where they are: Address of everybody, VIP of who
// serves. A nil dress changes nothing. What cannot get ready is an error with
// the reason that the cluster gives, as soon as it gives it.
func (h *Host) Launch(ctx context.Context, r *clusters.Range, dress Dress) error {
	ctx = quiet(ctx)
	g, gctx := errgroup.WithContext(ctx)
	for i := range r.Workloads {
		w := &r.Workloads[i]
		g.Go(func() error {
			if err := h.deploy(gctx, w, dress); err != nil {
				return fmt.Errorf("launch %s: %w", place(*w), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	ready, rctx := errgroup.WithContext(ctx)
	for _, namespace := range namespaces(*r) {
		ready.Go(func() error {
			if err := h.seated(rctx, r, namespace); err != nil {
				return fmt.Errorf("launch %s: %w", r.Name, err)
			}
			return nil
		})
	}
	return ready.Wait()
}

// deploy makes a workload's objects and fills in its VIP.
func (h *Host) deploy(ctx context.Context, w *clusters.Workload, dress Dress) error {
	core := h.kube.CoreV1()
	options := metav1.CreateOptions{FieldManager: manager}
	_, err := core.ServiceAccounts(w.Namespace).Create(ctx, h.account(*w), options)
	if err != nil && !apierrors.IsAlreadyExists(err) { // two may share one
		return err
	}
	if w.Serves() {
		s, err := core.Services(w.Namespace).Create(ctx, h.service(*w), options)
		if err != nil {
			return err
		}
		if w.VIP, err = netip.ParseAddr(s.Spec.ClusterIP); err != nil {
			return err
		}
	}
	pod := h.pod(*w)
	if dress != nil {
		dress(*w, pod)
	}
	_, err = core.Pods(w.Namespace).Create(ctx, pod, options)
	return err
}

// seated waits for a range's pods in a namespace and fills in their addresses.
func (h *Host) seated(ctx context.Context, r *clusters.Range, namespace string) error {
	pods := look(h.kube.CoreV1().RESTClient(), "pods", namespace, LabelRun+"="+h.run, "")
	var wanted []string
	for _, w := range r.Workloads {
		if w.Namespace == namespace {
			wanted = append(wanted, Pod(w))
		}
	}
	slices.Sort(wanted)
	err := await(ctx, func() state { return together(pods, wanted) }, pods)
	if err != nil {
		return h.explain(ctx, namespace, err)
	}
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if w.Namespace != namespace {
			continue
		}
		pod, _ := pods.objects[Pod(*w)].(*corev1.Pod)
		if w.Address, err = netip.ParseAddr(pod.Status.PodIP); err != nil {
			return fmt.Errorf("address of %s: %w", place(*w), err)
		}
	}
	return nil
}

// together is the state of all wanted pods: the worst problem first.
func together(pods *view, wanted []string) state {
	all := state{done: true}
	for _, name := range wanted {
		pod, ok := pods.objects[name].(*corev1.Pod)
		one := state{problem: "pod " + name + " is gone"}
		if ok {
			one = judge(pod)
		}
		switch {
		case one.done:
		case one.problem != "" && (all.problem == "" || one.patience < all.patience):
			all = one
		case all.problem == "" && all.missing == "":
			all = one
		}
	}
	return all
}

const (
	eventTime   = 2 * time.Second
	eventsShown = 3
)

// explain adds the newest warnings of a namespace to an error: what a pod's
// status does not say, such as a volume that cannot be mounted.
func (h *Host) explain(ctx context.Context, namespace string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTime)
	defer cancel()
	events, listErr := h.kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if listErr != nil || len(events.Items) == 0 {
		return err
	}
	return &withEvents{err, warnings(events.Items)}
}

// withEvents is an error and what the cluster said about it.
type withEvents struct {
	error
	said string
}

func (e *withEvents) Error() string { return e.error.Error() + " (events: " + e.said + ")" }
func (e *withEvents) Unwrap() error { return e.error }

// warnings are the newest warnings, each once.
func warnings(events []corev1.Event) string {
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return b.LastTimestamp.Compare(a.LastTimestamp.Time) })
	var all []string
	for _, e := range events {
		said := fmt.Sprintf("%s: %s: %s", e.InvolvedObject.Name, e.Reason, strings.TrimSpace(e.Message))
		if len(all) < eventsShown && !slices.Contains(all, said) {
			all = append(all, said)
		}
	}
	return strings.Join(all, "; ")
}

// Deployed waits until all replicas of a deployment are the newest and ready,
// and nothing of an older one is left; with none wanted, until nothing is left.
func (h *Host) Deployed(ctx context.Context, namespace, name string) error {
	d, err := h.kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("wait for deployment %s/%s: %w", namespace, name, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err == nil && selector.Empty() {
		err = errors.New("it selects nothing")
	}
	if err != nil {
		return fmt.Errorf("wait for deployment %s/%s: %w", namespace, name, err)
	}
	deployments := look(h.kube.AppsV1().RESTClient(), "deployments", namespace, "", "metadata.name="+name)
	pods := look(h.kube.CoreV1().RESTClient(), "pods", namespace, selector.String(), "")
	if err := await(ctx, func() state { return rolledOut(deployments, pods, name) }, deployments, pods); err != nil {
		return fmt.Errorf("wait for deployment %s/%s: %w", namespace, name, h.explain(ctx, namespace, err))
	}
	return nil
}
