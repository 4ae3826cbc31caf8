package istio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
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
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// podPilot is an istiod that is a deployment of the range's root namespace.
type podPilot struct {
	runtime *podRuntime

	mu      sync.Mutex
	made    bool // all of the chart, and not only the deployment
	plan    plan
	at      netip.Addr
	seen    time.Time // when it was last looked whether it is there
	absence error     // what was seen then
	open    *bool     // whether pods pass its webhook while it is away; nil where nothing was said of it, or in vain

	reloads int // how often an istiod said that it has other keys
	pods    map[string]netip.Addr
	arrived chan struct{} // holds a token when pods has a new one
}

var _ pilot = (*podPilot)(nil)

func newPodPilot(p *podRuntime) *podPilot {
	return &podPilot{runtime: p, pods: map[string]netip.Addr{}, arrived: make(chan struct{}, 1)}
}

func (d *podPilot) namespace() string { return rootNamespace(d.runtime.r) }

func (d *podPilot) name() string { return "istiod-" + revision(d.runtime.r) }

// start makes the control plane be as planned. One that has the same plan
// already is left alone: it was started with it.
func (d *podPilot) start(ctx context.Context, pl plan) error {
	return d.roll(ctx, pl, 1)
}

// plugIn changes the secret that istiod watches, and has the kubelet hand it on
// at once: of itself it would take a minute. It asks again every second, since
// the kubelet may not have heard of the change yet.
func (d *podPilot) plugIn(ctx context.Context, pl plan) error {
	d.mu.Lock()
	d.plan = pl
	running, before := slices.Sorted(maps.Keys(d.pods)), d.reloads
	d.mu.Unlock()
	if err := d.runtime.host.Apply(ctx, d.keys(pl)); err != nil {
		return err
	}
	for {
		for _, name := range running {
			if err := d.runtime.host.RefreshVolumes(ctx, d.namespace(), name); err != nil {
				return err
			}
		}
		for began := time.Now(); time.Since(began) < askEvery; {
			d.mu.Lock()
			now := d.reloads
			d.mu.Unlock()
			if now > before {
				return nil
			}
			if !clusters.Pause(ctx, 20*time.Millisecond) {
				return fmt.Errorf("wait until %s signs with another key: %w", d.name(), context.Cause(ctx))
			}
		}
	}
}

// hang stops istiod where the nodes are ours: a control plane that is there and
// does nothing. Elsewhere it takes all replicas away.
func (d *podPilot) hang(ctx context.Context, yes bool) error {
	d.mu.Lock()
	pl, running := d.plan, slices.Sorted(maps.Keys(d.pods))
	d.mu.Unlock()
	f, replicas := clusters.FaultResume, 1
	if yes {
		f, replicas = clusters.FaultHang, 0
	}
	for _, name := range running {
		err := d.runtime.host.Signal(ctx, d.namespace(), name, containerPilot, f)
		if errors.Is(err, kubernetes.ErrNoNodes) {
			return d.roll(ctx, pl, replicas)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(running) == 0:
		return d.roll(ctx, pl, replicas)
	case yes:
		return nil
	}
	return d.runtime.host.Deployed(ctx, d.namespace(), d.name())
}

// failOpen sets what the API does with pods that ask for a proxy while istiod is
// away.
func (d *podPilot) failOpen(ctx context.Context, yes bool) error {
	d.mu.Lock()
	pl, is := d.plan, d.open
	d.open = nil
	d.mu.Unlock()
	if is == nil || *is != yes {
		if err := d.rehook(ctx, pl, failurePolicy(yes)); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.open = &yes
	d.mu.Unlock()
	return nil
}

// rehook makes the chart's webhooks anew, with another policy of failure.
func (d *podPilot) rehook(ctx context.Context, pl plan, policy string) error {
	objects, err := d.render(ctx, pl, 1)
	if err != nil {
		return err
	}
	found := false
	for _, o := range objects {
		if o["kind"] != "MutatingWebhookConfiguration" {
			continue
		}
		hooks, _ := o["webhooks"].([]any)
		for _, h := range hooks {
			if h, ok := h.(map[string]any); ok {
				h["failurePolicy"], found = policy, true
			}
		}
		if err := d.runtime.host.Apply(ctx, o); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("the chart %s has no webhook that puts proxies into pods", chartPilot)
	}
	return nil
}

func (d *podPilot) roll(ctx context.Context, pl plan, replicas int) error {
	objects, err := d.render(ctx, pl, replicas)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.plan = pl
	first := !d.made
	d.mu.Unlock()
	if err := d.runtime.host.Apply(ctx, d.keys(pl)); err != nil {
		return err
	}
	if !first {
		objects = slices.DeleteFunc(objects, func(o kubeapi.Object) bool { return o["kind"] != "Deployment" })
	}
	if err := d.runtime.host.Apply(ctx, objects...); err != nil {
		return err
	}
	if err := d.runtime.host.Deployed(ctx, d.namespace(), d.name()); err != nil {
		return fmt.Errorf("%w%s", err, d.lastWords(ctx))
	}
	at, err := d.runtime.serviceIP(ctx, d.namespace(), d.name())
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.made, d.at = true, at
	d.mu.Unlock()
	return d.note(ctx)
}

// render gives the chart's objects with what no value of it can say.
func (d *podPilot) render(ctx context.Context, pl plan, replicas int) ([]kubeapi.Object, error) {
	objects, err := d.runtime.charts.pilot.Render(ctx, d.namespace(), d.runtime.values(pl))
	if err != nil {
		return nil, err
	}
	found := false
	for _, o := range objects {
		if o["kind"] == "Deployment" {
			found = true
			if err := adjust(o, pl, replicas, d.runtime.lingers); err != nil {
				return nil, fmt.Errorf("render the chart %s: %w", chartPilot, err)
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("render the chart %s: it has no deployment", chartPilot)
	}
	return objects, nil
}

// linger is how long an istiod that is replaced stays after its service has let
// go of it. Without it proxies come back by way of rules of nodes that still
// lead to it, and who waits for a dead address waits for 20 s.
const linger = 2 * time.Second

// adjust sets how many replicas there are, that another plan makes other pods,
// and that nobody waits longer than needed for a pod to come and to go.
func adjust(o kubeapi.Object, pl plan, replicas int, lingers bool) error {
	spec, _ := o["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	meta, _ := template["metadata"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	containers, _ := pod["containers"].([]any)
	if meta == nil || len(containers) == 0 {
		return errors.New("its deployment has no containers")
	}
	spec["replicas"] = replicas
	notes, _ := meta["annotations"].(map[string]any)
	if notes == nil {
		notes = map[string]any{}
	}
	notes["meshbreach.test/plan"] = pl.sum()
	meta["annotations"] = notes
	pod["terminationGracePeriodSeconds"] = int((linger + time.Second) / time.Second)
	if container, ok := containers[0].(map[string]any); ok {
		if lingers {
			container["lifecycle"] = map[string]any{"preStop": map[string]any{"sleep": map[string]any{"seconds": int(linger / time.Second)}}}
		}
		if probe, ok := container["readinessProbe"].(map[string]any); ok {
			probe["initialDelaySeconds"], probe["periodSeconds"] = 0, 1
		}
	}
	return nil
}

// sum names a plan without telling any of it.
func (p plan) sum() string {
	h := sha256.New()
	said, _ := json.Marshal([]any{started(p.issuance), startedWith(p.exposure), p.blocked}) // plain values cannot fail
	for _, part := range [][]byte{p.keys.Cert, p.keys.Key, p.keys.Chain, p.keys.Roots, said} {
		fmt.Fprintln(h, len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// keys is the secret with what istiod signs with.
func (d *podPilot) keys(pl plan) kubeapi.Object {
	data := map[string]any{}
	for name, content := range keyFiles(pl.keys) {
		data[name] = base64.StdEncoding.EncodeToString(content)
	}
	return kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": d.namespace(), "name": "cacerts"}, "data": data,
	}
}

func (d *podPilot) endpoint() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return netip.AddrPortFrom(d.at, portPilotSecure).String()
}

// endpoints are at istiod's pod where its service does not declare the port.
func (d *podPilot) endpoints() map[string]string {
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
func (d *podPilot) gone(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.seen) < askEvery {
		return d.absence
	}
	found, err := d.runtime.kube.AppsV1().Deployments(d.namespace()).Get(ctx, d.name(), metav1.GetOptions{})
	if err != nil {
		return nil //nolint:nilerr // nothing is known, which is not that it is gone
	}
	d.seen, d.absence = time.Now(), nil
	if found.Status.ReadyReplicas == 0 {
		d.absence = fmt.Errorf("no pod of %s/%s is ready", d.namespace(), d.name())
	}
	return d.absence
}

// lastWords are the end of the newest istiod's log, for errors.
func (d *podPilot) lastWords(ctx context.Context) string {
	return d.runtime.host.NewestLastWords(ctx, d.namespace(), "app=istiod", containerPilot)
}

// note takes down which pods there are, so that their logs are read.
func (d *podPilot) note(ctx context.Context) error {
	found, err := d.runtime.kube.CoreV1().Pods(d.namespace()).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
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
func (d *podPilot) follow(ctx context.Context, line func([]byte)) {
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
				_ = d.runtime.host.Follow(one, d.namespace(), name, containerPilot, func(said []byte) {
					d.heard(said)
					line(said)
				})
			})
		}
	}
}

const containerPilot = "discovery"

// heard takes down that istiod has taken over other keys.
func (d *podPilot) heard(said []byte) {
	if !bytes.Contains(said, []byte(reloaded)) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reloads++
}

// injects returns when a pod that asks for a proxy would get one: istiod writes
// its certificate into the webhook some time after it is ready.
func (d *podPilot) injects(ctx context.Context) error {
	w := clusters.Workload{}
	for _, one := range d.runtime.r.Workloads {
		if one.Meshed {
			w = one
			break
		}
	}
	trial := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "trial", Labels: map[string]string{"istio.io/rev": revision(d.runtime.r)}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}
	for {
		made, err := d.runtime.kube.CoreV1().Pods(w.Namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && proxied(made) {
			return nil
		}
		if err == nil {
			err = errors.New("a pod got no proxy")
		}
		if !clusters.Pause(ctx, 100*time.Millisecond) {
			return errors.Join(fmt.Errorf("wait until %s injects proxies: %w%s", d.name(), context.Cause(ctx), d.lastWords(ctx)), err)
		}
	}
}

func proxied(pod *corev1.Pod) bool {
	is := func(c corev1.Container) bool { return c.Name == containerProxy }
	return slices.ContainsFunc(pod.Spec.Containers, is) || slices.ContainsFunc(pod.Spec.InitContainers, is)
}
