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

	"k8s.io/apimachinery/pkg/util/version"
	client "k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// cluster is what all ranges on a cluster share.
type cluster struct {
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

	asking sync.Mutex // held while the image of proxies is asked
	asked  *bool      // whether its Envoy is a stock build, once it was
}

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
func images(rel meshes.Release, c charts) (hub, tag string) {
	const defaults = "_internal_defaults_do_not_set"
	hub, tag = c.pilot.Default(defaults, "global", "hub"), c.pilot.Default(defaults, "global", "tag")
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
func (in *installed) onKubernetes(ctx context.Context, h *kubernetes.Host, rel meshes.Release, ranges []clusters.Range) (runtimeOf, error) {
	charts, err := findCharts(ctx, rel)
	if err != nil {
		return nil, err
	}
	c := &cluster{host: h, api: h.API(), charts: charts}
	c.hub, c.tag = images(rel, charts)
	if c.kube, err = client.NewForConfig(h.Config()); err != nil {
		return nil, err
	}
	in.api = c.api
	in.patience = patience
	if in.able, err = c.onPods(ctx, in.able); err != nil {
		return nil, err
	}
	began := time.Now()
	both, bctx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.look(bctx) })
	both.Go(func() error { return c.define(bctx, ranges) })
	both.Go(func() error {
		if err := h.Images(bctx, c.image("pilot"), c.image("proxyv2")); err != nil {
			return fmt.Errorf("images of Istio: %w", err)
		}
		return nil
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	in.spent.since(began, "kinds and images")
	return func(r *clusters.Range, ca *identity.CA) (runtime, platform, pilot, error) {
		p := &podRuntime{cluster: c, mesh: in.mesh, ca: ca, run: in.run, r: *r, proxies: map[string]*podProxy{}, tokenPods: map[string]bool{}}
		p.pilot = newPodPilot(p)
		return p, p, p.pilot, nil
	}, nil
}

func (c *cluster) image(name string) string { return c.hub + "/" + name + ":" + c.tag }

// look finds out how the cluster names itself.
func (c *cluster) look(ctx context.Context) error {
	var about struct{ Issuer string }
	raw, err := c.kube.Discovery().RESTClient().Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(raw, &about)
	}
	if err != nil {
		return fmt.Errorf("ask the API who issues its tokens: %w", err)
	}
	c.issuer = about.Issuer
	said, err := c.kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API for its version: %w", err)
	}
	is, err := version.ParseGeneric(said.GitVersion)
	c.lingers = err == nil && is.AtLeast(version.MajorMinor(1, 30))
	at, err := c.serviceIP(ctx, "default", "kubernetes")
	c.api443 = netip.AddrPortFrom(at, 443).String()
	return err
}

// define makes Istio's kinds known. They stay with the cluster.
func (c *cluster) define(ctx context.Context, ranges []clusters.Range) error {
	objects, err := c.charts.kinds.Render(ctx, rootNamespace(ranges[0]), map[string]any{"defaultRevision": ""})
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
	return c.host.Apply(ctx, kinds...)
}

// onPods is what a mesh can do on this cluster. How long a leaf lives is set
// when a pod is made, and a pod that is made again has another probe; the key
// that account tokens are signed with, and the API's audit log, are on nodes
// that may not be ours.
func (c *cluster) onPods(ctx context.Context, able []meshes.Capability) ([]meshes.Capability, error) {
	absent := []meshes.Capability{meshes.CanShortLive}
	switch _, err := c.host.AccountKey(ctx); {
	case errors.Is(err, kubernetes.ErrNoNodes):
		absent = append(absent, meshes.CanSignAccounts, meshes.CanAudit)
	case err != nil:
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(able), func(one meshes.Capability) bool { return slices.Contains(absent, one) }), nil
}

// serviceIP is the address of a service.
func (c *cluster) serviceIP(ctx context.Context, namespace, name string) (netip.Addr, error) {
	found, err := c.api.Read(ctx, kubeapi.Object{"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"namespace": namespace, "name": name}})
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
