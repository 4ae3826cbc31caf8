// Package kubernetes runs workloads as pods of a cluster that has nodes. The
// providers kind and existing share it; they differ in where the cluster comes
// from and in what they may do to it.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// LabelRun is on everything that a run makes, with the run's name as its value.
const LabelRun = "meshbreach.test/run"

// LabelRange is on the namespaces of a range, with the range's name as its value.
const LabelRange = "meshbreach.test/range"

// Options say which cluster, and how to reach it.
type Options struct {
	Config *rest.Config
	Image  string // reference of the probe's image, which the nodes have
	// Nodes, which may be nil, is what only the owner of the nodes can do.
	Nodes Nodes
}

// Nodes is what only the owner of a cluster's nodes can do.
type Nodes interface {
	// Follow gives every new line of a control-plane node's file until the
	// context ends.
	Follow(ctx context.Context, file string, line func([]byte)) error
	// Read reads a control-plane node's file.
	Read(ctx context.Context, file string) ([]byte, error)
}

// A Signaller is Nodes that also reach the processes of a container.
type Signaller interface {
	// Signal kills, hangs or resumes all processes of a container. Its id is
	// the runtime's own, without the runtime's name.
	Signal(ctx context.Context, node, id string, f clusters.Fault) error
}

// ErrNoNodes is for what only the owner of the nodes can do.
var ErrNoNodes = errors.New("meshbreach does not own the cluster's nodes")

// A Dress changes a workload's pod before it is made: labels, annotations,
// volumes, containers of the mesh.
type Dress func(w clusters.Workload, pod *corev1.Pod)

// A Host runs workloads as pods. Its ranges have namespaces when Up returns;
// the mesh has their pods made, by Launch, when it is ready for them.
type Host struct {
	run     string
	image   string
	nodes   Nodes
	config  *rest.Config
	api     *kubeapi.Client
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	mapper  meta.ResettableRESTMapper
	asked   *atomic.Int64 // requests

	mu         sync.Mutex
	namespaces map[string]bool // those that this run made
	objects    []made          // those outside of them, in the order of their making
	tunnels    map[string]*tunnel
	relays     map[string]*relay
}

var (
	_ clusters.Host      = (*Host)(nil)
	_ clusters.FaultHost = (*Host)(nil)
)

// newHost reaches a cluster; it asks nothing of it yet.
func newHost(o Options, run string) (*Host, error) {
	asked := &atomic.Int64{}
	config := prepared(o.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, asked} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	kube, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	return &Host{
		run: run, image: o.Image, nodes: o.Nodes, config: config, asked: asked,
		api: kubeapi.Reach(base.String(), client), kube: kube, dynamic: objects,
		mapper:     restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery())),
		namespaces: map[string]bool{}, tunnels: map[string]*tunnel{}, relays: map[string]*relay{},
	}, nil
}

// prepared is a copy of a configuration without what is for people at a
// terminal: a brake on requests, and warnings on standard error.
func prepared(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.QPS = -1
	c.WarningHandlerWithContext = rest.NoWarnings{}
	c.UserAgent = "meshbreach"
	return c
}

// counting counts the requests to the API.
type counting struct {
	next  http.RoundTripper
	asked *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked.Add(1)
	return c.next.RoundTrip(r)
}

// WrappedRoundTripper lets client-go find what it upgrades connections with.
func (c counting) WrappedRoundTripper() http.RoundTripper { return c.next }

// quiet keeps the libraries' own log off standard error: what matters comes as
// an error.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// API is the cluster's API as its administrator sees it.
func (h *Host) API() *kubeapi.Client { return h.api }

// Config is how the API is reached.
func (h *Host) Config() *rest.Config { return h.config }

// Requests is how many were made of the API so far; a watch or an open stream
// is one.
func (h *Host) Requests() int { return int(h.asked.Load()) }

// Images makes sure that the nodes have images, as far as their owner can; the
// others are left to the nodes to pull.
func (h *Host) Images(ctx context.Context, refs ...string) error {
	l, ok := h.nodes.(Loader)
	if !ok {
		return nil
	}
	if err := l.Load(ctx, refs...); err != nil {
		return fmt.Errorf("give the nodes their images: %w", err)
	}
	return nil
}
