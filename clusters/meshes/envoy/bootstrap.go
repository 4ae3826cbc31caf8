package envoy

import (
	"fmt"
	"os"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// paths are a sidecar's files in the scratch folder. Only the harness and the
// sidecars see that folder, and the sockets are the sidecar's identity: what
// comes over one of them came from that sidecar.
type paths struct {
	plane     string // socket: configuration and logs
	admin     string // socket: the sidecar's own state
	fence     string // socket: answered by the worker threads
	bootstrap string
	log       string
}

// longestSocket is what the kernel takes as the path of a socket.
const longestSocket = 107

func pathsOf(scratch, rangeName string, i int) (paths, error) {
	base := fmt.Sprintf("%s/e-%s-%d", scratch, rangeName, i)
	p := paths{
		plane: base + ".x", admin: base + ".a", fence: base + ".f",
		bootstrap: base + ".json", log: base + ".log",
	}
	if len(p.plane) > longestSocket {
		return paths{}, fmt.Errorf("the socket path %s is longer than the %d bytes that the kernel takes: choose a shorter scratch folder", p.plane, longestSocket)
	}
	return p, nil
}

// writeBootstrap writes the file that an Envoy starts from. No secret is in it.
func writeBootstrap(w clusters.Workload, p paths) error {
	b := &builder{w: w}
	m := b.bootstrap(p)
	if b.err != nil {
		return fmt.Errorf("write the bootstrap of %s: %w", w.Name, b.err)
	}
	raw, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the bootstrap of %s: %w", w.Name, err)
	}
	if err := os.WriteFile(p.bootstrap, raw, 0o600); err != nil {
		return fmt.Errorf("write the bootstrap of %s: %w", w.Name, err)
	}
	return nil
}

func (b *builder) bootstrap(p paths) *bootstrapv3.Bootstrap {
	return &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: b.w.Name, Cluster: b.w.Range},
		Admin: &bootstrapv3.Admin{Address: pipeAddress(p.admin)},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: ads(),
			CdsConfig: ads(),
			AdsConfig: &corev3.ApiConfigSource{
				ApiType:                   corev3.ApiConfigSource_GRPC,
				TransportApiVersion:       corev3.ApiVersion_V3,
				SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: clusterPlane},
				}}},
			},
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters:  []*clusterv3.Cluster{b.plane(p.plane)},
			Listeners: []*listenerv3.Listener{b.fence(p.fence)},
		},
	}
}

// plane leads to the harness.
func (b *builder) plane(path string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 clusterPlane,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{
			"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": b.pack(&httpv3.HttpProtocolOptions{
				UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
					ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
						ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
							Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
						},
					},
				},
			}),
		},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: clusterPlane,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: pipeAddress(path)},
				},
			}}}},
		},
	}
}

// fence is a listener that the worker threads answer. The main thread hands a
// change to the workers by queues, so an answer that was asked for after the
// main thread showed the change proves that the worker has it as well.
func (b *builder) fence(path string) *listenerv3.Listener {
	m := b.http("fence", clusterPlane, logInbound)
	m.AccessLog = nil
	m.GetRouteConfig().VirtualHosts[0].Routes = []*routev3.Route{{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: 204,
		}},
	}}
	m.CodecType = hcmv3.HttpConnectionManager_HTTP1
	return &listenerv3.Listener{
		Name:       proxy.FenceName,
		StatPrefix: proxy.FenceName,
		Address:    pipeAddress(path),
		ConnectionBalanceConfig: &listenerv3.Listener_ConnectionBalanceConfig{
			BalanceType: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance_{
				ExactBalance: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance{},
			},
		},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{b.filter("http", m)}}},
	}
}
