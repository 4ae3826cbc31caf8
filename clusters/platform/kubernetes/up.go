package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshbreach/meshbreach/clusters"
)

// undoTime bounds the undo of a cluster that could not be made.
const undoTime = time.Minute

// prefix begins the name of every namespace that we make, so that people who
// look at a cluster know whose it is, and so that a run may begin with a digit.
const prefix = "mb-"

// enforce is the label by which a namespace asks for a level of Pod Security.
const enforce = "pod-security.kubernetes.io/enforce"

// Up makes the ranges' namespaces on a cluster: range RUN-rN has mb-RUN-rN-prod
// and so on, and its workloads' Namespace says so. It makes no pods. A run
// whose name is in use on the cluster is an error.
func Up(ctx context.Context, o Options, spec clusters.Spec) (*clusters.Cluster, error) {
	ctx = quiet(ctx)
	if err := check(spec); err != nil {
		return nil, err
	}
	h, err := newHost(o, spec.Name)
	if err != nil {
		return nil, err
	}
	c := &clusters.Cluster{Name: spec.Name, Provider: "kubernetes", Host: h, Undo: &clusters.Undo{}}
	end, err := h.live(ctx)
	if err != nil {
		return nil, err
	}
	c.Undo.Push("sign of life", func(context.Context) error {
		end()
		return nil
	})
	if nodes, ok := o.Nodes.(Passing); !ok || !nodes.Passes() {
		c.Undo.Push("run "+spec.Name+" on the cluster", h.remove)
	}
	c.Undo.Push("streams", func(context.Context) error { return h.hangUp() })
	g, gctx := errgroup.WithContext(ctx)
	for i := range spec.Ranges {
		r := stage(spec, i+1)
		c.Ranges = append(c.Ranges, r)
		for _, name := range namespaces(r) {
			g.Go(func() error { return h.Namespace(gctx, name, map[string]string{LabelRange: r.Name}) })
		}
	}
	if err := g.Wait(); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("cluster %s: %w", spec.Name, err), c.Undo.Run(undo))
	}
	return c, nil
}

// check says what is wrong with a request.
func check(spec clusters.Spec) error {
	if spec.Ranges < 1 {
		return fmt.Errorf("%d ranges: at least one is needed", spec.Ranges)
	}
	if spec.Name == "" {
		return errors.New("a run needs a name")
	}
	for _, name := range namespaces(stage(spec, spec.Ranges)) {
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			return fmt.Errorf("run %q needs namespace %q, which is not a valid name: %s", spec.Name, name, strings.Join(wrong, "; "))
		}
	}
	return nil
}

// stage is a range whose workloads are nowhere yet.
func stage(spec clusters.Spec, number int) clusters.Range {
	n := "r" + strconv.Itoa(number)
	r := clusters.Range{Name: prefix + spec.Name + "-" + n, TrustDomain: n + ".meshbreach.test"}
	for _, m := range clusters.Cast() {
		w := clusters.Workload{
			Name: m.Name, Range: r.Name, Cluster: spec.Name, TrustDomain: r.TrustDomain,
			Namespace: r.Name + "-" + m.Namespace, Account: m.Account, Meshed: m.Meshed,
		}
		if m.Meshed {
			w.Hops = []clusters.Hop{clusters.HopSidecar}
		}
		r.Workloads = append(r.Workloads, w)
	}
	return r
}

// namespaces are a range's, sorted.
func namespaces(r clusters.Range) []string {
	var all []string
	for _, w := range r.Workloads {
		all = append(all, w.Namespace)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// place names a workload in errors.
func place(w clusters.Workload) string { return w.Namespace + "/" + Pod(w) }

// Pod is the name of a workload's pod, in its Namespace.
func Pod(w clusters.Workload) string { return path.Base(w.Name) }

// Namespace makes a namespace that goes with the cluster; one that this run
// made gets the labels in addition. Pods in it must be as Pod Security's level
// "restricted" wants them, unless pod-security.kubernetes.io/enforce is among
// the labels. A namespace of somebody else is an error.
func (h *Host) Namespace(ctx context.Context, name string, labels map[string]string) error {
	ctx = quiet(ctx)
	h.mu.Lock()
	ours := h.namespaces[name]
	// Before it is made: an answer that is lost must not leave it behind.
	h.namespaces[name] = true
	h.mu.Unlock()
	all := map[string]string{enforce: "restricted"}
	if ours {
		all = map[string]string{}
	}
	for k, v := range labels {
		all[k] = v
	}
	all[LabelRun] = h.run
	if ours {
		return h.label(ctx, name, all)
	}
	_, err := h.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all},
	}, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) {
		h.mu.Lock()
		delete(h.namespaces, name)
		h.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}
