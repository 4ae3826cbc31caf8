package attackertest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshbreach/meshbreach/attacker"
)

// Map is what a control plane says to whom it tells everything.
const Map = `{"services":["bank.prod at 10.0.0.11"]}`

// MapCanary is a text that is nowhere else.
const MapCanary = "10.0.0.11"

// ConfigCanary is in the configuration of the bank's proxy alone.
const ConfigCanary = "policy[bank]"

// A ControlPlane shows what it knows over HTTP and hands configuration to
// proxies over ADS.
type ControlPlane struct {
	Target attacker.Target // with the endpoints monitoring, xds and xds-plaintext

	ids   map[string]string // by namespace/account
	prove func(token string) (identity string, err error)
}

// NaiveControlPlane tells everybody everything, and gives every proxy the
// configuration of whom it says it is.
func NaiveControlPlane(t testing.TB, ca *CA, protocol string, names map[string]string) *ControlPlane {
	t.Helper()
	p := &ControlPlane{}
	p.serve(t, ca, protocol, names)
	return p
}

// HardenedControlPlane tells what it knows to nobody but the proxy's own
// owner, whom a token of the issuer has to prove, and listens nowhere without
// TLS.
func HardenedControlPlane(t testing.TB, ca *CA, protocol string, names map[string]string, by *Issuer, audience string) *ControlPlane {
	t.Helper()
	policy := Policy{Issuer: by, Audience: audience}
	p := &ControlPlane{prove: func(token string) (string, error) {
		claims, err := policy.verify(token)
		if err != nil {
			return "", err
		}
		return claims.Subject, nil
	}}
	p.serve(t, ca, protocol, names)
	return p
}

func (p *ControlPlane) serve(t testing.TB, ca *CA, protocol string, names map[string]string) {
	t.Helper()
	a := &attacker.Authority{
		Protocol: protocol, ServerName: "control.mesh-system.svc", Identity: ca.ID("mesh-system", "control"),
		Endpoints: map[string]string{}, Nodes: map[string]string{},
	}
	p.Target = attacker.Target{
		Workload: "bank", Address: "127.0.0.1", Host: "bank.prod", Authority: a,
		Accounts: map[string]string{}, Identities: map[string]string{"authority": a.Identity},
		Canaries: map[string][]string{"bank": {MapCanary}, "bank/config": {ConfigCanary}},
	}
	p.ids = map[string]string{}
	for name, id := range names {
		p.Target.Identities[name], p.Target.Accounts[name] = id, "prod/"+name
		a.Nodes[name] = "sidecar~10.0.0.1~" + name + ".prod~prod.svc.cluster.local"
		p.ids["prod/"+name] = id
	}
	a.Endpoints["monitoring"] = p.serveHTTP(t)
	leaf := ca.Leaf(LeafSpec{DNS: []string{a.ServerName}})
	cert, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key))
	if err != nil {
		t.Fatalf("leaf of the control plane: %v", err)
	}
	a.Endpoints["xds"] = p.serveXDS(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.Pool(), NextProtos: []string{"h2"},
	})))
	a.Endpoints["xds-plaintext"] = "127.0.0.1:1"
	if p.prove == nil {
		a.Endpoints["xds-plaintext"] = p.serveXDS(t)
	}
}

func (p *ControlPlane) serveHTTP(t testing.TB) string {
	t.Helper()
	l := Listen(t)
	server := &http.Server{Handler: http.HandlerFunc(p.answer), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("control plane: %v", err)
		}
	})
	return l.Addr().String()
}

// answer gives the map, and at /echo what it was asked.
func (p *ControlPlane) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/echo" {
		_ = json.NewEncoder(w).Encode(r.URL.Query())
		return
	}
	if p.prove != nil {
		if _, err := p.prove(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/debug/own" {
			http.Error(w, "not for workloads", http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, "{}")
		return
	}
	_, _ = io.WriteString(w, Map)
}

// discoveryProto is what is spoken of Envoy's discovery.proto.
const discoveryProto = `
name: "envoy/ads.proto" package: "ads" syntax: "proto3" dependency: "google/protobuf/struct.proto"
message_type { name: "Node"
  field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "metadata" number: 3 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL } }
message_type { name: "Request"
  field { name: "node" number: 2 type: TYPE_MESSAGE type_name: ".ads.Node" label: LABEL_OPTIONAL }
  field { name: "resource_names" number: 3 type: TYPE_STRING label: LABEL_REPEATED }
  field { name: "type_url" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "Response"
  field { name: "version_info" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "type_url" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL } }
`

func (p *ControlPlane) serveXDS(t testing.TB, options ...grpc.ServerOption) string {
	t.Helper()
	empty := Messages(t, discoveryProto)
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "StreamAggregatedResources", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error { return p.stream(s, empty) },
		}},
	}, nil)
	l := Listen(t)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("control plane: %v", err)
		}
	})
	return l.Addr().String()
}

// stream answers requests until the client's half ends. An answer of two
// messages is what a busy control plane gives.
func (p *ControlPlane) stream(s grpc.ServerStream, empty func(string) Message) error {
	for {
		q := empty("Request")
		if err := s.RecvMsg(q.Message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		account := said(q, "NAMESPACE") + "/" + said(q, "SERVICE_ACCOUNT")
		if p.prove != nil {
			id, err := p.identity(s.Context())
			if err != nil {
				return status.Error(codes.Unauthenticated, "authentication failure")
			}
			if p.ids[account] != id {
				return status.Error(codes.PermissionDenied, "authorization failed: no identities matched "+account)
			}
		}
		for _, version := range []string{"1", "for " + account + ": policy[" + strings.TrimPrefix(account, "prod/") + "]"} {
			out := empty("Response")
			out.Set(out.Field("version_info"), protoreflect.ValueOfString(version))
			if err := s.SendMsg(out.Message); err != nil {
				return err
			}
		}
	}
}

// said is a text in the metadata of the node that a request names.
func said(q Message, name string) string {
	node := q.Get(q.Field("node")).Message()
	field := func(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
		return m.Get(m.Descriptor().Fields().ByName(name))
	}
	values := field(field(node, "metadata").Message(), "fields").Map()
	if v := values.Get(protoreflect.ValueOfString(name).MapKey()); v.IsValid() {
		return field(v.Message(), "string_value").String()
	}
	return ""
}

// identity is what the caller proved, by certificate or else by token.
func (p *ControlPlane) identity(ctx context.Context) (string, error) {
	if c, ok := peer.FromContext(ctx); ok {
		if secure, ok := c.AuthInfo.(credentials.TLSInfo); ok && len(secure.State.PeerCertificates) > 0 {
			return secure.State.PeerCertificates[0].URIs[0].String(), nil
		}
	}
	return p.prove(strings.TrimPrefix(first(ctx, "authorization"), "Bearer "))
}
