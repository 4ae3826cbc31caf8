package istio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// podRuntime is the runtime of a range on a cluster: the cluster starts and stops what
// runs, and the charts' webhook puts proxies into pods.
type podRuntime struct {
	*cluster
	mesh    Mesh
	ca      *identity.CA
	run     string
	r       clusters.Range
	pilot   *podPilot
	proxies map[string]*podProxy // by workload
	stock   bool                 // the proxies' Envoy is no build of Istio's; known once deployed

	mu        sync.Mutex
	tokenPods map[string]bool // token pods that were made, by workload
}

var (
	_ runtime  = (*podRuntime)(nil)
	_ platform = (*podRuntime)(nil)
)

// The objects that every namespace with proxies has.
const (
	nameBootstrap = "meshbreach-bootstrap"
	keyBootstrap  = "custom_bootstrap.json" // as the injector wants it
)

// deploy makes istiod's namespace, and what the pods to come refer to. The
// injector's init container needs rights that Pod Security's baseline forbids.
func (p *podRuntime) deploy(ctx context.Context) error {
	if err := p.host.Namespace(ctx, rootNamespace(p.r), map[string]string{labelRange: p.r.Name}); err != nil {
		return err
	}
	override, err := podOverride()
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() (err error) {
		p.stock, err = p.stockImage(ctx, rootNamespace(p.r))
		return err
	})
	for _, namespace := range meshedNamespaces(p.r) {
		g.Go(func() error {
			if err := p.host.Namespace(ctx, namespace, map[string]string{enforce: "privileged"}); err != nil {
				return err
			}
			return p.host.Apply(ctx, bootstrapMap(namespace, override))
		})
	}
	for _, w := range p.r.Workloads {
		if p.renewable(w) {
			g.Go(func() error { return p.make(ctx, w, identity.LifeAccount) })
		}
	}
	return g.Wait()
}

func meshedNamespaces(r clusters.Range) []string {
	var out []string
	seen := map[string]bool{}
	for _, w := range r.Workloads {
		if w.Meshed && !seen[w.Namespace] {
			seen[w.Namespace] = true
			out = append(out, w.Namespace)
		}
	}
	return out
}

// launch makes the pods. Everything that is meshed asks for injection.
func (p *podRuntime) launch(ctx context.Context) (clusters.Range, map[string]instance, error) {
	if err := p.pilot.injects(ctx); err != nil {
		return clusters.Range{}, nil, err
	}
	r := p.r
	r.Workloads = append([]clusters.Workload(nil), r.Workloads...)
	if err := p.host.Launch(ctx, &r, p.dress); err != nil {
		// A proxy that istiod refuses never gets ready, and only its log says why.
		for _, namespace := range meshedNamespaces(p.r) {
			if words := p.host.NewestLastWords(ctx, namespace, "istio.io/rev="+revision(p.r), containerProxy); words != "" {
				return clusters.Range{}, nil, fmt.Errorf("%w%s", err, words)
			}
		}
		return clusters.Range{}, nil, err
	}
	p.r = r
	out := map[string]instance{}
	for _, w := range r.Workloads {
		if w.Meshed {
			p.proxies[w.Name] = p.newPodProxy(w)
			out[w.Name] = p.proxies[w.Name]
		}
	}
	return r, out, nil
}

// dress is what the injector looks at.
func (p *podRuntime) dress(w clusters.Workload, pod *corev1.Pod) {
	if !w.Meshed {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	maps.Copy(pod.Labels, p.asks())
	pod.Annotations["sidecar.istio.io/bootstrapOverride"] = nameBootstrap
	if p.renewable(w) {
		pod.Annotations["inject.istio.io/templates"] = templateSidecar + "," + templateRenewable
	}
}

// asks are the labels by which a pod asks for a proxy.
func (p *podRuntime) asks() map[string]string {
	return map[string]string{"istio.io/rev": revision(p.r)}
}

// revision is the name by which pods ask for a range's istiod.
func revision(r clusters.Range) string { return r.Name }

// Both logs of a proxy go to the container's own, and are told apart there.
func (p *podRuntime) proxySettings() proxySettings {
	return proxySettings{access: "/dev/stdout", listener: "/dev/stdout", stock: p.stock}
}

// pace is slow, and slower where it takes long: each look is a request of the
// API server to a node, and honest load needs the same processors.
func (p *podRuntime) pace(looks int) time.Duration {
	return min(time.Duration(1+looks/10)*100*time.Millisecond, 500*time.Millisecond)
}

// follow reads the API's audit log, where there is one to be had.
func (p *podRuntime) follow(ctx context.Context, into *signals.Store) {
	err := p.host.Audit(ctx, func(line []byte) { note(into, parsePlatform, line) })
	if errors.Is(err, kubernetes.ErrNoNodes) {
		return // and no signals come from there
	}
}
