package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// pack wraps a message with the same bytes every time: Envoy tells a changed
// listener from an unchanged one by its bytes.
func (b *builder) pack(m proto.Message) *anypb.Any {
	out := new(anypb.Any)
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil && b.err == nil {
		b.err = fmt.Errorf("pack %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return out
}

func on() *wrapperspb.BoolValue               { return wrapperspb.Bool(true) }
func off() *wrapperspb.BoolValue              { return wrapperspb.Bool(false) }
func number(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }
func never() *durationpb.Duration             { return durationpb.New(0) }
func lasting(d time.Duration) *durationpb.Duration {
	return durationpb.New(d)
}

// objects gives the configuration as stable JSON, in a fixed order.
func (c config) objects(workload string) ([]meshes.Object, error) {
	var out []meshes.Object
	for _, kind := range []struct {
		name     string
		messages []proto.Message
	}{
		{"Listener", c.listeners}, {"Cluster", c.clusters},
		{"ExtensionConfig", c.extensions}, {"Secret", c.secrets},
	} {
		for _, m := range kind.messages {
			body, err := stable(m)
			if err != nil {
				return nil, err
			}
			named := m.(interface{ GetName() string })
			out = append(out, meshes.Object{Workload: workload, Kind: kind.name, Name: named.GetName(), Body: body})
		}
	}
	return out, nil
}

// stable is the message as JSON that does not change between runs: protojson
// puts random spaces in its output on purpose.
func stable(m proto.Message) ([]byte, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("read back %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return out.Bytes(), nil
}
