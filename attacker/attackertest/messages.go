package attackertest

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/structpb" // descriptions may need it
)

// A Message gives and takes fields by name.
type Message struct{ *dynamicpb.Message }

// Field is a field of the message.
func (m Message) Field(name string) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByName(protoreflect.Name(name))
}

// Text is the value of a text field.
func (m Message) Text(name string) string { return m.Get(m.Field(name)).String() }

// Messages reads a description of messages, a FileDescriptorProto as text; the
// result makes an empty message. A test so speaks a protocol without its
// generated code.
func Messages(t testing.TB, description string) func(name string) Message {
	t.Helper()
	var described descriptorpb.FileDescriptorProto
	if err := prototext.Unmarshal([]byte(description), &described); err != nil {
		t.Fatalf("read the protocol: %v", err)
	}
	file, err := protodesc.NewFile(&described, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatalf("read the protocol: %v", err)
	}
	return func(name string) Message {
		return Message{dynamicpb.NewMessage(file.Messages().ByName(protoreflect.Name(name)))}
	}
}
