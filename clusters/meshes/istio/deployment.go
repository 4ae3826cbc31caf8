package istio

import (
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

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// deployment is an istiod that is a deployment of the range's root namespace.
type deployment struct {
	in *pods

	mu     sync.Mutex
	made   bool // all of the chart, and not only the deployment
	plan   plan
	at     netip.Addr
	seen   time.Time // when it was last looked whether it is there
	gonely error     // what was seen then
	open   *bool     // whether pods pass its webhook while it is away; nil where nothing was said of it, or in vain

	reloads int // how often an istiod said that it has other keys
	pods    map[string]netip.Addr
	arrived chan struct{} // holds a token when pods has a new one
}

var _ pilot = (*deployment)(nil)

func newDeployment(p *pods) *deployment {
	return &deployment{in: p, pods: map[string]netip.Addr{}, arrived: make(chan struct{}, 1)}
}

func (d *deployment) namespace() string { return rootNamespace(d.in.r) }

func (d *deployment) name() string { return "istiod-" + revision(d.in.r) }

// start makes the control plane be as planned. One that has the same plan
// already is left alone: it was started with it.
func (d *deployment) start(ctx context.Context, pl plan) error {
	return d.roll(ctx, pl, 1)
}

// plugIn changes the secret that istiod watches, and has the kubelet hand it on
// at once: of itself it would take a minute. It asks again every second, since
// the kubelet may not have heard of the change yet.
func (d *deployment) plugIn(ctx context.Context, pl plan) error {
	d.mu.Lock()
	d.plan = pl
	running, before := slices.Sorted(maps.Keys(d.pods)), d.reloads
	d.mu.Unlock()
	if err := d.in.host.Apply(ctx, d.keys(pl)); err != nil {
		return err
	}
	for {
		for _, name := range running {
			if err := d.in.refresh(ctx, d.namespace(), name); err != nil {
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
func (d *deployment) hang(ctx context.Context, yes bool) error {
	d.mu.Lock()
	pl, running := d.plan, slices.Sorted(maps.Keys(d.pods))
	d.mu.Unlock()
	f, replicas := clusters.FaultResume, 1
	if yes {
		f, replicas = clusters.FaultHang, 0
	}
	for _, name := range running {
		err := d.in.host.Signal(ctx, d.namespace(), name, containerPilot, f)
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
	return d.in.host.Deployed(ctx, d.namespace(), d.name())
}

// failOpen sets what the API does with pods that ask for a proxy while istiod is
// away.
func (d *deployment) failOpen(ctx context.Context, yes bool) error {
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
func (d *deployment) rehook(ctx context.Context, pl plan, policy string) error {
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
		if err := d.in.host.Apply(ctx, o); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("the chart %s has no webhook that puts proxies into pods", chartPilot)
	}
	return nil
}

func (d *deployment) roll(ctx context.Context, pl plan, replicas int) error {
	objects, err := d.render(ctx, pl, replicas)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.plan = pl
	first := !d.made
	d.mu.Unlock()
	if err := d.in.host.Apply(ctx, d.keys(pl)); err != nil {
		return err
	}
	if !first {
		objects = slices.DeleteFunc(objects, func(o kubeapi.Object) bool { return o["kind"] != "Deployment" })
	}
	if err := d.in.host.Apply(ctx, objects...); err != nil {
		return err
	}
	if err := d.in.host.Deployed(ctx, d.namespace(), d.name()); err != nil {
		return err
	}
	at, err := d.in.serviceIP(ctx, d.namespace(), d.name())
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.made, d.at = true, at
	d.mu.Unlock()
	return d.note(ctx)
}

// render gives the chart's objects with what no value of it can say.
func (d *deployment) render(ctx context.Context, pl plan, replicas int) ([]kubeapi.Object, error) {
	objects, err := renderChart(ctx, d.in.charts.pilot, d.namespace(), d.in.values(pl))
	if err != nil {
		return nil, err
	}
	found := false
	for _, o := range objects {
		if o["kind"] == "Deployment" {
			found = true
			if err := adjust(o, pl, replicas, d.in.lingers); err != nil {
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
func (d *deployment) keys(pl plan) kubeapi.Object {
	data := map[string]any{}
	for name, content := range keyFiles(pl.keys) {
		data[name] = base64.StdEncoding.EncodeToString(content)
	}
	return kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": d.namespace(), "name": "cacerts"}, "data": data,
	}
}
