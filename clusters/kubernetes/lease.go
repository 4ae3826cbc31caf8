package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
)

const (
	leaseNamespace = metav1.NamespaceSystem // the one that every cluster has
	leaseTime      = 10 * time.Second       // without renewal, until another takes it
	leaseRenew     = 7 * time.Second        // within which it is renewed or given up
	leaseAsk       = time.Second            // between questions for it, and renewals
)

// Lock waits until this run alone has a thing of the whole cluster. It is a
// Lease "meshbreach-NAME" in kube-system, renewed while it is held; one that
// its holder does not renew for 10 s is taken over. release gives it back, and
// is an error when it was lost meanwhile.
func (h *Host) Lock(ctx context.Context, name string) (release func(ctx context.Context) error, err error) {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: leaseNamespace, Name: manager + "-" + name},
		Client:     h.kube.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: h.run},
		Labels:     map[string]string{LabelRun: h.run},
	}
	held := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: name, ReleaseOnCancel: true,
		LeaseDuration: leaseTime, RenewDeadline: leaseRenew, RetryPeriod: leaseAsk,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(held) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	life, cancel := context.WithCancel(quiet(context.WithoutCancel(ctx)))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(life)
	}()
	select {
	case <-held:
	case <-ctx.Done():
		cancel()
		<-ended
		return nil, fmt.Errorf("lock %s, which %s holds: %w", name, elector.GetLeader(), context.Cause(ctx))
	}
	return func(ctx context.Context) error {
		lost := h.lost(ctx, lock.LeaseMeta.Name, ended)
		cancel()
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("release %s: %w", name, context.Cause(ctx))
		}
		if lost == nil {
			lost = h.dropLease(ctx, lock.LeaseMeta.Name)
		}
		if lost != nil {
			return fmt.Errorf("release %s: %w", name, lost)
		}
		return nil
	}, nil
}

// lost is an error when a lease is not this run's any more.
func (h *Host) lost(ctx context.Context, name string, ended <-chan struct{}) error {
	select {
	case <-ended:
		return errors.New("it could not be renewed and was lost")
	default:
	}
	l, err := h.kube.CoordinationV1().Leases(leaseNamespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if by := ptr.Deref(l.Spec.HolderIdentity, ""); by != h.run {
		return fmt.Errorf("it was lost, and %q holds it", by)
	}
	return nil
}

// dropLease takes away a lease that nobody holds.
func (h *Host) dropLease(ctx context.Context, name string) error {
	leases := h.kube.CoordinationV1().Leases(leaseNamespace)
	l, err := leases.Get(ctx, name, metav1.GetOptions{})
	if err == nil && ptr.Deref(l.Spec.HolderIdentity, "") != "" {
		return nil // the next one's
	}
	if err == nil {
		err = leases.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &l.ResourceVersion}})
	}
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
