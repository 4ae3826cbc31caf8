package istio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

func (d *deployment) endpoint() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return netip.AddrPortFrom(d.at, portPilotSecure).String()
}

// endpoints are at istiod's pod where its service does not declare the port.
func (d *deployment) endpoints() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{
		identity.EndpointXDS:          netip.AddrPortFrom(d.at, portPilotSecure).String(),
		identity.EndpointXDSPlaintext: netip.AddrPortFrom(d.at, portPilotPlain).String(),
		identity.EndpointMonitoring:   netip.AddrPortFrom(d.at, portPilotMonitor).String(),
	}
	for _, name := range slices.Sorted(maps.Keys(d.pods)) {
		out[identity.EndpointDebug] = netip.AddrPortFrom(d.pods[name], portPilotHTTP).String()
	}
	return out
}

// askEvery is the least time between two questions whether something is there.
const askEvery = time.Second

// gone looks whether any istiod is ready; what was seen holds for a second.
func (d *deployment) gone(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.seen) < askEvery {
		return d.gonely
	}
	found, err := d.in.kube.AppsV1().Deployments(d.namespace()).Get(ctx, d.name(), metav1.GetOptions{})
	if err != nil {
		return nil //nolint:nilerr // nothing is known, which is not that it is gone
	}
	d.seen, d.gonely = time.Now(), nil
	if found.Status.ReadyReplicas == 0 {
		d.gonely = fmt.Errorf("no pod of %s/%s is ready", d.namespace(), d.name())
	}
	return d.gonely
}

// note takes down which pods there are, so that their logs are read.
func (d *deployment) note(ctx context.Context) error {
	found, err := d.in.kube.CoreV1().Pods(d.namespace()).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", d.name(), err)
	}
	d.mu.Lock()
	now := map[string]netip.Addr{}
	for _, pod := range found.Items {
		if at, err := netip.ParseAddr(pod.Status.PodIP); err == nil {
			now[pod.Name] = at
		}
	}
	d.pods = now
	d.mu.Unlock()
	select {
	case d.arrived <- struct{}{}:
	default:
	}
	return nil
}

// follow reads the logs of the pods that there are. What one said before it was
// replaced may be cut short: it decides nothing any more.
func (d *deployment) follow(ctx context.Context, line func([]byte)) {
	var reading sync.WaitGroup
	defer reading.Wait()
	ends := map[string]context.CancelFunc{}
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.arrived:
		}
		d.mu.Lock()
		now := d.pods
		d.mu.Unlock()
		for name, end := range ends {
			if _, there := now[name]; !there {
				end()
				delete(ends, name)
			}
		}
		for name := range now {
			if ends[name] != nil {
				continue
			}
			one, end := context.WithCancel(ctx)
			ends[name] = end
			reading.Go(func() {
				// A log that cannot be read says nothing: whoever waits for
				// what it says runs out of time, and nothing is concluded.
				_ = d.in.host.Follow(one, d.namespace(), name, containerPilot, func(said []byte) {
					d.heard(said)
					line(said)
				})
			})
		}
	}
}

const containerPilot = "discovery"

// heard takes down that istiod has taken over other keys.
func (d *deployment) heard(said []byte) {
	if !bytes.Contains(said, []byte(reloaded)) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reloads++
}

// injects returns when a pod that asks for a proxy would get one: istiod writes
// its certificate into the webhook some time after it is ready.
func (d *deployment) injects(ctx context.Context) error {
	w := clusters.Workload{}
	for _, one := range d.in.r.Workloads {
		if one.Meshed {
			w = one
			break
		}
	}
	trial := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "trial", Labels: map[string]string{"istio.io/rev": revision(d.in.r)}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}
	for {
		made, err := d.in.kube.CoreV1().Pods(w.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && proxied(made) {
			return nil
		}
		if err == nil {
			err = errors.New("a pod got no proxy")
		}
		if !clusters.Pause(ctx, 100*time.Millisecond) {
			return errors.Join(fmt.Errorf("wait until %s puts proxies into pods: %w", d.name(), context.Cause(ctx)), err)
		}
	}
}

func proxied(pod *corev1.Pod) bool {
	is := func(c corev1.Container) bool { return c.Name == containerProxy }
	return slices.ContainsFunc(pod.Spec.Containers, is) || slices.ContainsFunc(pod.Spec.InitContainers, is)
}
