package attackertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/structpb" // Istio needs it
)

// istioProto is what is spoken of istio.io/api security/v1alpha1/ca.proto.
const istioProto = `
name: "istio/ca.proto" package: "istio.v1.auth" syntax: "proto3" dependency: "google/protobuf/struct.proto"
message_type { name: "Request"
  field { name: "csr" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "validity_duration" number: 3 type: TYPE_INT64 label: LABEL_OPTIONAL }
  field { name: "metadata" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL } }
message_type { name: "Response"
  field { name: "cert_chain" number: 1 type: TYPE_STRING label: LABEL_REPEATED } }
`

// consulProto is what is spoken of Consul's proto-public pbacl and pbconnectca.
const consulProto = `
name: "consul/ca.proto" package: "hashicorp.consul" syntax: "proto3"
message_type { name: "LoginRequest"
  field { name: "auth_method" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "bearer_token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "LoginToken"
  field { name: "accessor_id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "secret_id" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "LoginResponse"
  field { name: "token" number: 1 type: TYPE_MESSAGE type_name: ".hashicorp.consul.LoginToken" label: LABEL_OPTIONAL } }
message_type { name: "SignRequest"
  field { name: "csr" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
message_type { name: "SignResponse"
  field { name: "cert_pem" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL } }
`

// A message gives and takes fields by name.
type message struct{ *dynamicpb.Message }

func (m message) field(name string) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func (m message) text(name string) string { return m.Get(m.field(name)).String() }

func (m message) set(name, value string) {
	m.Set(m.field(name), protoreflect.ValueOfString(value))
}

// messages reads a description; the result makes an empty message.
func messages(t testing.TB, description string) func(name string) message {
	t.Helper()
	var described descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(description), &described); err != nil {
		t.Fatalf("read the protocol: %v", err)
	}
	file, err := protodesc.NewFile(&described, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatalf("read the protocol: %v", err)
	}
	return func(name string) message {
		return message{dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(name)))}
	}
}

// service has one method.
func service(name, method string, in func() message, answer func(context.Context, message) (message, error)) grpc.ServiceDesc {
	return grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: method,
		Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := in()
			if err := decode(m.Message); err != nil {
				return nil, err
			}
			out, err := answer(ctx, m)
			if err != nil {
				return nil, err
			}
			return out.Message, nil
		},
	}}}
}

func (a *Authority) istio(t testing.TB) []grpc.ServiceDesc {
	t.Helper()
	empty := messages(t, istioProto)
	return []grpc.ServiceDesc{service("istio.v1.auth.IstioCertificateService", "CreateCertificate",
		func() message { return empty("Request") },
		func(ctx context.Context, m message) (message, error) {
			q := Asked{
				Token:     strings.TrimPrefix(first(ctx, "authorization"), "Bearer "),
				Life:      time.Duration(m.Get(m.field("validity_duration")).Int()) * time.Second,
				Forwarded: first(ctx, "x-forwarded-client-cert"),
			}
			if given := m.Get(m.field("metadata")).Message(); given.IsValid() {
				values := given.Get(given.Descriptor().Fields().ByName("fields")).Map()
				if v := values.Get(protoreflect.ValueOfString("ImpersonatedIdentity").MapKey()); v.IsValid() {
					said := v.Message()
					q.Impersonate = said.Get(said.Descriptor().Fields().ByName("string_value")).String()
				}
			}
			out := empty("Response")
			chain, err := a.sign(ctx, q, m.text("csr"))
			if err != nil {
				return out, err
			}
			out.Mutable(out.field("cert_chain")).List().Append(protoreflect.ValueOfString(chain))
			return out, nil
		})}
}

func (a *Authority) consul(t testing.TB) []grpc.ServiceDesc {
	t.Helper()
	empty := messages(t, consulProto)
	login := service("hashicorp.consul.acl.ACLService", "Login",
		func() message { return empty("LoginRequest") },
		func(_ context.Context, m message) (message, error) {
			out, token := empty("LoginResponse"), empty("LoginToken")
			if m.text("auth_method") != a.Endpoint.Method {
				return out, status.Errorf(codes.InvalidArgument, "auth method %q not found", m.text("auth_method"))
			}
			if err := a.login(m.text("bearer_token")); err != nil {
				return out, err
			}
			// Whoever logged in is known by what they logged in with.
			token.set("secret_id", m.text("bearer_token"))
			out.Set(out.field("token"), protoreflect.ValueOfMessage(token.Message))
			return out, nil
		})
	sign := service("hashicorp.consul.connectca.ConnectCAService", "Sign",
		func() message { return empty("SignRequest") },
		func(ctx context.Context, m message) (message, error) {
			out := empty("SignResponse")
			leaf, err := a.sign(ctx, Asked{Token: first(ctx, "x-consul-token")}, m.text("csr"))
			if err != nil {
				return out, err
			}
			out.set("cert_pem", leaf)
			return out, nil
		})
	return []grpc.ServiceDesc{login, sign}
}
