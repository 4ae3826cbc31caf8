package kubernetes_test

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters/kubernetes"
)

func TestALockThatADeadHarnessHeldIsTakenOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: "none"})
	name := "test-" + runName()
	leases := kube(t, h.Config()).CoordinationV1().Leases("kube-system")
	now := metav1.NewMicroTime(time.Now())
	_, err := leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "meshbreach-" + name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("dead"), LeaseDurationSeconds: ptr.To(int32(2)), AcquireTime: &now, RenewTime: &now,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	release, err := h.Lock(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestALockThatSomebodyTookIsSaidToBeLost(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: "none"})
	name := "test-" + runName()
	release, err := h.Lock(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	leases := kube(t, h.Config()).CoordinationV1().Leases("kube-system")
	t.Cleanup(func() {
		if err := leases.Delete(context.Background(), "meshbreach-"+name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	eventually(t, ctx, "take the lease", func() error {
		l, err := leases.Get(ctx, "meshbreach-"+name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = ptr.To("thief"), ptr.To(int32(3600))
		_, err = leases.Update(ctx, l, metav1.UpdateOptions{})
		return err
	})
	if err := release(ctx); err == nil || !strings.Contains(err.Error(), "thief") {
		t.Errorf("what was lost was released: %v", err)
	}
}
