package attackertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
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

// A message gives and takes fields by name.
type message struct{ *dynamicpb.Message }

func (m message) field(name string) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func (m message) text(name string) string { return m.Get(m.field(name)).String() }

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
