package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	client "k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/authority"
	"github.com/meshbreach/meshbreach/clusters/evidence"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/kubernetes"
)

// ground is what all ranges on a cluster share.
type ground struct {
	host   *kubernetes.Host
	kube   client.Interface
	api    *kubeapi.Client
	charts charts
	hub    string
	tag    string
	issuer string // the iss claim of account tokens
	api443 string // where pods reach the API, host:port
	// lingers says that a container may be told to sleep before it ends, which
	// clusters before Kubernetes 1.30 do not know.
	lingers bool
}

// pods is the place of a range on a cluster: the cluster starts and stops what
// runs, and the charts' webhook puts proxies into pods.
type pods struct {
	*ground
	mesh  Mesh
	ca    *authority.CA
	run   string
	r     clusters.Range
	pilot *deployment
	seats map[string]*berth // by workload

	mu    sync.Mutex
	stood map[string]bool // understudies that were made, by workload
}

var (
	_ place    = (*pods)(nil)
	_ platform = (*pods)(nil)
)

// The images of Istio's own, for charts that name none.
const (
	publicHub = "docker.io/istio"
	publicTag = "1.31.1"
)

// OfflineHub is where the images are that are made without any registry; their
// Envoy is a stock build.
const OfflineHub = "localhost/istio"

// images are the hub and the tag that a release runs from. Charts of a
// development branch name images that nobody can get.
func images(rel clusters.Release, c charts) (hub, tag string) {
	values, _ := c.pilot.Values["_internal_defaults_do_not_set"].(map[string]any)
	global, _ := values["global"].(map[string]any)
	hub, _ = global["hub"].(string)
	tag, _ = global["tag"].(string)
	if strings.HasSuffix(hub, "/testing") || hub == "" || tag == "latest" || tag == "" {
		hub, tag = publicHub, publicTag
	}
	if rel.Hub != "" {
		hub = strings.TrimSuffix(rel.Hub, "/")
	}
	if rel.Tag != "" {
		tag = rel.Tag
	}
	return hub, tag
}

// patience is for the kubelet, which hands on what istiod and its agents read,
// for agents, which renew when they want to, and for an istiod that starts.
const patience = 45 * time.Second

// onKubernetes makes Istio's kinds known to the cluster.
func (in *installed) onKubernetes(ctx context.Context, h *kubernetes.Host, rel clusters.Release, ranges []clusters.Range) (placer, error) {
	c, err := findCharts(ctx, rel)
	if err != nil {
		return nil, err
	}
	g := &ground{host: h, api: h.API(), charts: c}
	g.hub, g.tag = images(rel, c)
	if g.kube, err = client.NewForConfig(h.Config()); err != nil {
		return nil, err
	}
	in.api = g.api
	in.patience = patience
	if in.able, err = g.onPods(ctx, in.able); err != nil {
		return nil, err
	}
	began := time.Now()
	both, bctx := errgroup.WithContext(ctx)
	both.Go(func() error { return g.look(bctx) })
	both.Go(func() error { return g.define(bctx, ranges) })
	both.Go(func() error {
		if err := h.Images(bctx, g.image("pilot"), g.image("proxyv2")); err != nil {
			return fmt.Errorf("images of Istio: %w", err)
		}
		return nil
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	in.spent.since(began, "kinds and images")
	return func(r *clusters.Range, ca *authority.CA) (place, platform, pilot, error) {
		p := &pods{ground: g, mesh: in.mesh, ca: ca, run: in.run, r: *r, seats: map[string]*berth{}, stood: map[string]bool{}}
		p.pilot = newDeployment(p)
		return p, p, p.pilot, nil
	}, nil
}

func (g *ground) image(name string) string { return g.hub + "/" + name + ":" + g.tag }

// look finds out how the cluster names itself.
func (g *ground) look(ctx context.Context) error {
	var about struct{ Issuer string }
	raw, err := g.kube.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(raw, &about)
	}
	if err != nil {
		return fmt.Errorf("ask the API who issues its tokens: %w", err)
	}
	g.issuer = about.Issuer
	said, err := g.kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API for its version: %w", err)
	}
	is, err := version.ParseGeneric(said.GitVersion)
	g.lingers = err == nil && is.AtLeast(version.MajorMinor(1, 30))
	at, err := g.serviceIP(ctx, "default", "kubernetes")
	g.api443 = netip.AddrPortFrom(at, 443).String()
	return err
}

// define makes Istio's kinds known. They stay with the cluster.
func (g *ground) define(ctx context.Context, ranges []clusters.Range) error {
	objects, err := renderChart(ctx, g.charts.kinds, rootNamespace(ranges[0]), map[string]any{"defaultRevision": ""})
	if err != nil {
		return err
	}
	var kinds []kubeapi.Object
	for _, o := range objects {
		if o["kind"] == "CustomResourceDefinition" {
			kinds = append(kinds, o)
		}
	}
	if len(kinds) == 0 {
		return fmt.Errorf("the chart %s has no kinds", chartKinds)
	}
	return g.host.Apply(ctx, kinds...)
}

// onPods is what a mesh can do on this cluster. How long a leaf lives is set
// when a pod is made, and a pod that is made again has another probe; the key
// that account tokens are signed with, and the API's audit log, are on nodes
// that may not be ours.
func (g *ground) onPods(ctx context.Context, able []clusters.Capability) ([]clusters.Capability, error) {
	lacks := []clusters.Capability{clusters.CanShortLive}
	switch _, err := g.host.AccountKey(ctx); {
	case errors.Is(err, kubernetes.ErrNoNodes):
		lacks = append(lacks, clusters.CanSignAccounts, clusters.CanAudit)
	case err != nil:
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(able), func(c clusters.Capability) bool { return slices.Contains(lacks, c) }), nil
}

// The objects that every namespace with proxies has.
const (
	nameBootstrap = "meshbreach-bootstrap"
	keyBootstrap  = "custom_bootstrap.json" // as the injector wants it
)

// deploy makes istiod's namespace, and what the pods to come refer to. The
// injector's init container needs rights that Pod Security's baseline forbids.
func (p *pods) deploy(ctx context.Context) error {
	if err := p.host.Namespace(ctx, rootNamespace(p.r), map[string]string{labelRange: p.r.Name}); err != nil {
		return err
	}
	override, err := podOverride()
	if err != nil {
		return err
	}
	var g errgroup.Group
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
			g.Go(func() error { return p.make(ctx, w, clusters.LifeAccount) })
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
func (p *pods) launch(ctx context.Context) (clusters.Range, map[string]seat, error) {
	if err := p.pilot.injects(ctx); err != nil {
		return clusters.Range{}, nil, err
	}
	r := p.r
	r.Workloads = append([]clusters.Workload(nil), r.Workloads...)
	if err := p.host.Launch(ctx, &r, p.dress); err != nil {
		return clusters.Range{}, nil, err
	}
	p.r = r
	out := map[string]seat{}
	for _, w := range r.Workloads {
		if w.Meshed {
			p.seats[w.Name] = &berth{in: p, workload: w}
			out[w.Name] = p.seats[w.Name]
		}
	}
	return r, out, nil
}

// dress is what the injector looks at.
func (p *pods) dress(w clusters.Workload, pod *corev1.Pod) {
	if !w.Meshed {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["istio.io/rev"] = revision(p.r)
	pod.Annotations["sidecar.istio.io/bootstrapOverride"] = nameBootstrap
	if p.renewable(w) {
		pod.Annotations["inject.istio.io/templates"] = templateSidecar + "," + templateRenewable
	}
}

// revision is the name by which pods ask for a range's istiod.
func revision(r clusters.Range) string { return r.Name }

// Both logs of a proxy go to the container's own, and are told apart there.
func (p *pods) proxies() proxies {
	return proxies{access: "/dev/stdout", listener: "/dev/stdout", stock: strings.HasPrefix(p.hub, OfflineHub)}
}

// pace is slow: each look is a request of the API server to a node.
func (p *pods) pace() time.Duration { return 100 * time.Millisecond }

// follow reads the API's audit log, where there is one to be had.
func (p *pods) follow(ctx context.Context, into *evidence.Store) {
	err := p.host.Audit(ctx, func(line []byte) {
		note(into, parseAudit, line)
		note(into, parseReads, line)
	})
	if errors.Is(err, kubernetes.ErrNoNodes) {
		return // and no signals come from there
	}
}

// serviceIP is the address of a service.
func (g *ground) serviceIP(ctx context.Context, namespace, name string) (netip.Addr, error) {
	found, err := g.api.Read(ctx, kubeapi.Object{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"namespace": namespace, "name": name}})
	if err != nil {
		return netip.Addr{}, err
	}
	spec, _ := found["spec"].(map[string]any)
	text, _ := spec["clusterIP"].(string)
	at, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("address of service %s/%s: %w", namespace, name, err)
	}
	return at, nil
}
