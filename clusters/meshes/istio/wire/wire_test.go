package wire_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/meshes/istio/wire"
)

// caProto is what is spoken of istio.io/api security/v1alpha1/ca.proto.
const caProto = `
name: "istio/ca.proto" package: "istio.v1.auth" syntax: "proto3" dependency: "google/protobuf/struct.proto"
message_type { name: "Request"
  field { name: "csr" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "validity_duration" number: 3 type: TYPE_INT64 label: LABEL_OPTIONAL }
  field { name: "metadata" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL } }
message_type { name: "Response"
  field { name: "cert_chain" number: 1 type: TYPE_STRING label: LABEL_REPEATED } }
`

// speak serves leaves with TLS that takes any client certificate or none.
func speak(t testing.TB, a *attackertest.Authority) {
	t.Helper()
	const name = "istiod.istio-system.svc"
	leaf := a.ServerLeaf(name)
	cert, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key))
	if err != nil {
		t.Fatalf("leaf of the authority: %v", err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"},
	})))
	empty := attackertest.Messages(t, caProto)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "istio.v1.auth.IstioCertificateService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "CreateCertificate",
			Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				m, out := empty("Request"), empty("Response")
				if err := decode(m.Message); err != nil {
					return nil, err
				}
				chain, err := a.Sign(asked(ctx, m), m.Text("csr"))
				if err != nil {
					return nil, err
				}
				out.Mutable(out.Field("cert_chain")).List().Append(protoreflect.ValueOfString(chain))
				return out.Message, nil
			},
		}},
	}, nil)
	a.Endpoint = attacker.Authority{Protocol: wire.Protocol{}.Name(), Address: serve(t, server), ServerName: name}
}

// asked is a request with what came beside it.
func asked(ctx context.Context, m attackertest.Message) attackertest.Asked {
	q := attackertest.Asked{
		Token:     strings.TrimPrefix(first(ctx, "authorization"), "Bearer "),
		Life:      time.Duration(m.Get(m.Field("validity_duration")).Int()) * time.Second,
		Forwarded: first(ctx, "x-forwarded-client-cert"),
	}
	if given := m.Get(m.Field("metadata")).Message(); given.IsValid() {
		values := given.Get(given.Descriptor().Fields().ByName("fields")).Map()
		if v := values.Get(protoreflect.ValueOfString("ImpersonatedIdentity").MapKey()); v.IsValid() {
			text := v.Message()
			q.Impersonate = text.Get(text.Descriptor().Fields().ByName("string_value")).String()
		}
	}
	return q
}

// first is the first value of a name in a call's metadata.
func first(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// serve serves on loopback until the test ends.
func serve(t testing.TB, server *grpc.Server) string {
	t.Helper()
	l := attackertest.Listen(t)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("authority: %v", err)
		}
	})
	return l.Addr().String()
}

func TestLeavesAreAskedForByIstiosProtocol(t *testing.T) {
	attackertest.Wire{Protocol: wire.Protocol{}, Speak: speak}.Prove(t)
}

// A cast is who is who at a control plane.
type cast struct {
	ca          *attackertest.CA
	issuer      *attackertest.Issuer
	thief, bank string
}

func newCast(t *testing.T) cast {
	t.Helper()
	ca := attackertest.NewCA(t, "r1.meshbreach.test")
	return cast{ca, attackertest.NewIssuer(t, "https://platform.issuer.test"), ca.ID("prod", "thief"), ca.ID("prod", "bank")}
}

func (c cast) names() map[string]string { return map[string]string{"thief": c.thief, "bank": c.bank} }

func (c cast) token() *attacker.Token {
	return &attacker.Token{Of: "thief", Kind: "account", Held: c.issuer.Token(attackertest.TokenSpec{Subject: c.thief, Audience: wire.Protocol{}.TokenAudience()})}
}

func (c cast) leaf() *attacker.Leaf {
	return &attacker.Leaf{Of: "thief", Held: c.ca.Leaf(attackertest.For(c.thief))}
}

// ask makes one attempt to act as a proxy.
func ask(t *testing.T, target attacker.Target, p attacks.ActAsProxy) attacker.Observation {
	t.Helper()
	f := attackertest.Outside(t)
	f.Protocols = []attacker.AuthorityProtocol{wire.Protocol{}}
	all := attacks.Catalog()
	i := slices.IndexFunc(all, func(a attacker.Attack) bool { return a.Name() == "act-as-proxy" })
	seen := attackertest.Run(t, all[i], f, target, p)
	if len(seen) != 1 {
		t.Fatalf("%d observations instead of one", len(seen))
	}
	if raw, err := json.Marshal(seen[0]); err != nil || strings.Contains(string(raw), attackertest.ConfigCanary) {
		t.Errorf("the observation holds what was told: %s, %v", raw, err)
	}
	return seen[0]
}

func TestANaiveControlPlaneGivesAnybodyAnothersConfiguration(t *testing.T) {
	c := newCast(t)
	p := attackertest.NaiveControlPlane(t, c.ca, wire.Protocol{}.Name(), c.names())
	for name, params := range map[string]attacks.ActAsProxy{
		"as another":             {As: "bank"},
		"as another by token":    {As: "bank", Token: c.token()},
		"as another by leaf":     {As: "bank", Leaf: c.leaf()},
		"as another without TLS": {As: "bank", Endpoint: attacks.EndpointXDSPlaintext},
	} {
		t.Run(name, func(t *testing.T) {
			if o := ask(t, p.Target, params); o.Refusal != nil || o.Reply == nil || !slices.Equal(o.Reply.Holds, []string{"bank/config"}) {
				t.Errorf("reply %+v, refusal %+v", o.Reply, o.Refusal)
			}
		})
	}
}

func TestAHardenedControlPlaneGivesNobodyAnothersConfiguration(t *testing.T) {
	c := newCast(t)
	p := attackertest.HardenedControlPlane(t, c.ca, wire.Protocol{}.Name(), c.names(), c.issuer, wire.Protocol{}.TokenAudience())
	const others = "authorization failed: no identities matched prod/"
	for name, x := range map[string]struct {
		params attacks.ActAsProxy
		want   attacker.Refusal
	}{
		"one's own":              {attacks.ActAsProxy{As: "thief", Token: c.token()}, attacker.Refusal{}},
		"as another by token":    {attacks.ActAsProxy{As: "bank", Token: c.token()}, attacker.Refusal{Layer: attacker.LayerGRPC, Code: 7, Text: others + "bank"}},
		"as another by leaf":     {attacks.ActAsProxy{As: "bank", Leaf: c.leaf()}, attacker.Refusal{Layer: attacker.LayerGRPC, Code: 7, Text: others + "bank"}},
		"account unsaid":         {attacks.ActAsProxy{As: "bank", NoAccount: true, Token: c.token()}, attacker.Refusal{Layer: attacker.LayerGRPC, Code: 7, Text: others}},
		"with nothing":           {attacks.ActAsProxy{As: "bank"}, attacker.Refusal{Layer: attacker.LayerGRPC, Code: 16, Text: "authentication failure"}},
		"as another without TLS": {attacks.ActAsProxy{As: "bank", Endpoint: attacks.EndpointXDSPlaintext}, attacker.Refusal{Layer: attacker.LayerTCP, Text: "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := ask(t, p.Target, x.params)
			if !o.Remote.IsValid() {
				t.Error("nobody knows where it went")
			}
			switch {
			case x.want.Layer == "" && (o.Refusal != nil || o.Reply == nil || len(o.Reply.Holds) > 0):
				t.Errorf("reply %+v, refusal %+v", o.Reply, o.Refusal)
			case x.want.Layer != "" && (o.Refusal == nil || *o.Refusal != x.want):
				t.Errorf("refused as %+v instead of %+v", o.Refusal, x.want)
			}
		})
	}
}

func TestAnIssuerIsNamedForOneWorkloadAlone(t *testing.T) {
	path, object := wire.Protocol{}.IssuerObject(attacker.TokenIssuer{Name: "x-1", Namespace: "prod", Workload: "web", Issuer: "x-1.test", Keys: "http://10.0.0.9/keys"})
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"apiVersion":"security.istio.io/v1","kind":"RequestAuthentication","metadata":{"name":"x-1"},` +
		`"spec":{"jwtRules":[{"issuer":"x-1.test","jwksUri":"http://10.0.0.9/keys"}],"selector":{"matchLabels":{"app":"web"}}}}`
	if path != "/apis/security.istio.io/v1/namespaces/prod/requestauthentications" || string(raw) != want {
		t.Errorf("%s\n%s", path, raw)
	}
}
