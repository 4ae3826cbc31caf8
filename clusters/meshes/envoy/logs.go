package envoy

import (
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// The names of the logs, which say where in the sidecar an entry was written.
// What fails before a chain is chosen or in the handshake is in the listener's
// log only.
const (
	logInbound           = "inbound"
	logInboundConnection = "inbound-connection"
	logOutbound          = "outbound"
)

// The tags add what the entries lack.
const (
	tagSerial  = "serial"
	tagDetails = "details" // why a connection ended that never was a stream
)

// clusterPlane is the harness: it configures the sidecar and takes its logs.
const clusterPlane = "plane"

// flush is how long an entry may wait in a sidecar.
const flush = 10 * time.Millisecond

// logs sends what happened to the harness.
func (b *builder) logs(name string, http bool) []*accesslogv3.AccessLog {
	common := &grpclogv3.CommonGrpcAccessLogConfig{
		LogName:             name,
		TransportApiVersion: corev3.ApiVersion_V3,
		BufferFlushInterval: lasting(flush),
		GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: clusterPlane},
		}},
		CustomTags: []*tracingv3.CustomTag{
			{Tag: tagSerial, Type: &tracingv3.CustomTag_Value{Value: "%DOWNSTREAM_PEER_SERIAL%"}},
			{Tag: tagDetails, Type: &tracingv3.CustomTag_Value{Value: "%RESPONSE_CODE_DETAILS%"}},
		},
	}
	var m proto.Message = &grpclogv3.TcpGrpcAccessLogConfig{CommonConfig: common}
	if http {
		m = &grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig:                  common,
			AdditionalRequestHeadersToLog: []string{proxy.HeaderNonce},
		}
	}
	return []*accesslogv3.AccessLog{{
		Name:       "grpc",
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: b.pack(m)},
	}}
}

func (b *builder) filter(name string, m proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.pack(m)}}
}
