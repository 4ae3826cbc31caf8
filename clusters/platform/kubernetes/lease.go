package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// All that a run makes has its name, or is there for all (kinds), so that two
// runs on one cluster share nothing. A run is known to live by a Lease of its
// name, which it makes before all else and renews.
const (
	leaseNamespace = metav1.NamespaceSystem // the one that every cluster has
	leaseTime      = 15 * time.Second       // without renewal, after which its run is dead
	leaseRenew     = 3 * time.Second        // between renewals
)

// lease is the one of a run.
func (h *Host) lease() *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: manager + "-" + h.run, Labels: map[string]string{LabelRun: h.run}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &h.run, LeaseDurationSeconds: ptr.To(int32(leaseTime / time.Second))},
	}
}

// live takes the run's name, which is an error where another has it, and says
// that the run lives until end is called. The Lease goes with the run's objects.
func (h *Host) live(ctx context.Context) (end func(), err error) {
	leases := h.kube.CoordinationV1().Leases(leaseNamespace)
	l := h.lease()
	_, err = leases.Create(ctx, l, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		err = errors.New("it lives there, or has left something")
	}
	if err != nil {
		return nil, fmt.Errorf("be run %s on this cluster: %w", h.run, err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-life.Done():
				return
			case now := <-tick.C:
				patch := fmt.Sprintf(`{"spec": {"renewTime": %q}}`, now.UTC().Format(metav1.RFC3339Micro))
				one, done := context.WithTimeout(life, leaseRenew)
				// What does not arrive is said again; whose Lease was taken
				// away is dead for others, as they wanted.
				_, _ = leases.Patch(one, l.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
				done()
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// living are the runs whose Lease is renewed while it is looked at. What a Lease
// says of the time is not believed: it is of another machine's clock.
func living(ctx context.Context, kube kubernetes.Interface) (map[string]bool, error) {
	within, cancel := context.WithTimeout(ctx, leaseTime)
	defer cancel()
	leases := look(kube.CoordinationV1().RESTClient(), "leases", leaseNamespace, LabelRun, "")
	first, alive := map[types.UID]string{}, map[string]bool{}
	err := await(within, func() state {
		silent := 0
		for _, o := range leases.objects {
			l, ok := o.(*coordinationv1.Lease)
			if !ok {
				continue
			}
			if before, known := first[l.UID]; !known {
				first[l.UID] = l.ResourceVersion
			} else if before != l.ResourceVersion {
				alive[l.Labels[LabelRun]] = true
			}
			if !alive[l.Labels[LabelRun]] {
				silent++
			}
		}
		return state{done: silent == 0}
	}, leases)
	if err != nil && (ctx.Err() != nil || within.Err() == nil) {
		return nil, fmt.Errorf("see which runs live: %w", err)
	}
	return alive, nil
}
