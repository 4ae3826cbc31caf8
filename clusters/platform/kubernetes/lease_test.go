package kubernetes_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// The Lease of the dead one is from the future, as that of a machine may be
// whose clock is ahead; another has none.
func TestWhatLivesStaysWhenTheDeadAreRemoved(t *testing.T) { // it removes what others left, and so is alone
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := kubernetes.Options{Config: config(t), Image: "none"}
	alive, _ := up(t, ctx, o)
	k := kube(t, o.Config)
	dead, older := runName(), runName()
	for _, run := range []string{dead, older} {
		_, err := k.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: "mb-" + run, Labels: map[string]string{kubernetes.LabelRun: run},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	ahead := metav1.NewMicroTime(time.Now().Add(time.Hour))
	_, err := k.CoordinationV1().Leases("kube-system").Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "meshbreach-" + dead, Labels: map[string]string{kubernetes.LabelRun: dead}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &dead, LeaseDurationSeconds: ptr.To(int32(15)), RenewTime: &ahead},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var notes []string
	if err := kubernetes.Remove(ctx, o.Config, "", func(s string) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, s)
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.HasPrefix(n, "run "+alive.Name+" stays") }) {
		t.Errorf("nothing says that %s stays: %q", alive.Name, notes)
	}
	runs, err := kubernetes.Runs(ctx, o.Config)
	if err != nil || slices.Contains(runs, dead) || slices.Contains(runs, older) {
		t.Errorf("of %s and %s there is something left: runs %q, %v", dead, older, runs, err)
	}
	untouched(t, alive)
}

func TestARunWhoseNameIsTakenMakesNothingAndTakesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	o := kubernetes.Options{Config: config(t), Image: "none"}
	c, _ := up(t, ctx, o)
	again, err := kubernetes.Up(ctx, o, clusters.Spec{Name: c.Name, Ranges: 2})
	if err == nil || !strings.Contains(err.Error(), "run "+c.Name) {
		t.Errorf("error %v", err)
		down(t, again)
	}
	untouched(t, c)
}

// untouched is an error where a namespace of a cluster goes, or is another's.
func untouched(t *testing.T, c *clusters.Cluster) {
	t.Helper()
	found, err := labelled(t.Context(), kube(t, config(t)), c.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 4 {
		t.Errorf("%d namespaces of %s, want the 4 of one range", len(found), c.Name)
	}
	for _, ns := range found {
		if ns.DeletionTimestamp != nil {
			t.Errorf("%s goes", ns.Name)
		}
	}
}
