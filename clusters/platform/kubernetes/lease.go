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

// Everything that a run creates carries its name, except definitions of kinds, which
// are shared. So two runs on one cluster do not interfere. A run shows that it is
// active by a Lease with its name: it creates the Lease first and keeps renewing it.
const (
	leaseNamespace = metav1.NamespaceSystem // exists in every cluster
	leaseTime      = 15 * time.Second       // a run is dead after this time without a renewal
	leaseRenew     = 3 * time.Second        // time between renewals
)

// lease is the run's Lease.
func (h *Host) lease() *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: leaseNamespace, Name: manager + "-" + h.run, Labels: map[string]string{LabelRun: h.run}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &h.run, LeaseDurationSeconds: ptr.To(int32(leaseTime / time.Second))},
	}
}

// live claims the run's name and renews the Lease until end is called. A name that
// is in use is an error. The Lease is removed with the run's objects.
func (h *Host) live(ctx context.Context) (end func(), err error) {
	leases := h.kube.CoordinationV1().Leases(leaseNamespace)
	l := h.lease()
	_, err = leases.Create(ctx, l, metav1.CreateOptions{FieldManager: manager})
	if apierrors.IsAlreadyExists(err) {
		err = errors.New("the name is in use by an active run, or by what an earlier run left: see meshbreach down")
	}
	if err != nil {
		return nil, fmt.Errorf("claim run name %s on this cluster: %w", h.run, err)
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
				// A lost renewal is repeated at the next tick. If somebody
				// deleted the Lease, they declared this run dead.
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

// living returns the runs whose Lease is renewed while this function watches. It
// ignores the time in a Lease, which comes from another machine's clock.
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
		return nil, fmt.Errorf("find active runs: %w", err)
	}
	return alive, nil
}
