package envoy

import (
	"context"
	"fmt"
	"net"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
)

// plane is one sidecar's control plane and log sink, on a socket of its own.
type plane struct {
	cache  cachev3.SnapshotCache
	ledger *ledger
	server *grpc.Server
	ended  chan struct{}
}

// theSidecar is the one node of a plane. What a sidecar says its name is does
// not count.
const theSidecar = "sidecar"

type oneNode struct{}

func (oneNode) ID(*corev3.Node) string { return theSidecar }

// openPlane serves until stop. The context is the mesh's lifetime.
func openPlane(ctx context.Context, socket string, logs logservicev3.AccessLogServiceServer) (*plane, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for a sidecar: %w", err)
	}
	p := &plane{
		// Not the cache's ADS mode: that one keeps silent until the sidecar
		// has asked for every resource there is.
		cache:  cachev3.NewSnapshotCache(false, oneNode{}, nil),
		ledger: newLedger(),
		server: grpc.NewServer(),
		ended:  make(chan struct{}),
	}
	xds := serverv3.NewServer(ctx, p.cache, serverv3.CallbackFuncs{
		StreamRequestFunc: p.ledger.request,
		StreamResponseFunc: func(_ context.Context, stream int64, _ *discoveryv3.DiscoveryRequest, resp *discoveryv3.DiscoveryResponse) {
			p.ledger.response(stream, resp)
		},
	})
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(p.server, xds)
	logservicev3.RegisterAccessLogServiceServer(p.server, logs)
	go func() {
		defer close(p.ended)
		_ = p.server.Serve(l) // it ends by stop, and then there is nothing to say
	}()
	return p, nil
}

// stop ends the plane at once and waits for it.
func (p *plane) stop() {
	p.server.Stop()
	<-p.ended
}

// The places of the types of resources, wherever something is kept for each.
const (
	listenerVersion = iota
	clusterVersion
	extensionVersion
	secretVersion
	kindCount
)

// kinds are the types of resources that a sidecar asks for, by place.
func kinds() [kindCount]string {
	return [...]string{
		listenerVersion:  resource.ListenerType,
		clusterVersion:   resource.ClusterType,
		extensionVersion: resource.ExtensionConfigType,
		secretVersion:    resource.SecretType,
	}
}

// versions are those of the resources, by place.
type versions [kindCount]string

// send makes the sidecar get what is new: a type is sent when its version is
// another one.
func (p *plane) send(ctx context.Context, resources [kindCount][]types.Resource, v versions) error {
	var s cachev3.Snapshot
	for i, kind := range kinds() {
		s.Resources[cachev3.GetResponseType(kind)] = cachev3.NewResources(v[i], resources[i])
	}
	if err := p.cache.SetSnapshot(ctx, theSidecar, &s); err != nil {
		return fmt.Errorf("send a configuration: %w", err)
	}
	return nil
}
