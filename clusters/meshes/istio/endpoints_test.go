package istio

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func TestWhatIstiodSaysAboutItsEndpointsIsRead(t *testing.T) {
	const at = "2026-11-22T18:01:02.123456Z\t"
	for name, c := range map[string]struct {
		line   string
		want   signals.Signal
		source string
	}{
		"no credential": {
			at + "error\tFailed to authenticate /debug/registryz?nonce=n-1 [Authenticator ClientCertAuthenticator: no peer certificate Authenticator KubeJWTAuthenticator: target JWT extraction error: no HTTP authorization header exists]",
			signals.Signal{Layer: "http", Nonce: "n-1", Path: "/debug/registryz", Status: 401, Refused: true, Reason: "target JWT extraction error: no HTTP authorization header exists"}, "",
		},
		"a path that is not for workloads": {
			at + "warn\tUnauthorized debug request from [spiffe://r1.test/ns/r1-prod/sa/thief] to /debug/syncz",
			signals.Signal{Layer: "http", Nonce: "spiffe://r1.test/ns/r1-prod/sa/thief /debug/syncz", Status: 403, Refused: true, Reason: "Unauthorized debug request"}, "",
		},
		"another's proxy": {
			at + "warn\tads\tUnauthorized XDS: 10.77.1.14:40001 with identity [spiffe://r1.test/ns/r1-prod/sa/thief]: no identities ([spiffe://r1.test/ns/r1-prod/sa/thief]) matched r1-prod/bank",
			signals.Signal{Layer: "grpc", Refused: true, Reason: "Unauthorized XDS: no identities matched"}, "10.77.1.14:40001",
		},
		"a proxy that came": {
			at + "info\tads\tADS: new delta connection for node:bank.r1-prod-12",
			signals.Signal{Layer: "grpc", Nonce: nodeLogKey("bank.r1-prod")}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ok, err := parseEndpoints([]byte(c.line+"\n"), time.Time{})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			got := r.Signal
			if got.Layer != c.want.Layer || got.Nonce != c.want.Nonce || got.Status != c.want.Status || got.Refused != c.want.Refused || got.Reason != c.want.Reason || got.At.IsZero() {
				t.Errorf("%+v\nwant %+v", got, c.want)
			}
			if c.source != "" && r.Source != netip.MustParseAddrPort(c.source) {
				t.Errorf("source %s", r.Source)
			}
		})
	}
	for _, line := range []string{
		"", "x", at + "info\tsomething else", at + "warn\tads\tUnauthorized XDS: nowhere with identity []: no", "never\twarn\tUnauthorized debug request from [a] to /b",
		at + "info\tads\tADS: new connection for node:",
	} {
		if r, ok, err := parseEndpoints([]byte(line), time.Time{}); ok && err == nil && r.Signal.Refused {
			t.Errorf("%q says %+v", line, r.Signal)
		}
	}
}

func TestIstiodShowsNothingThatAPolicyDoesNotAskFor(t *testing.T) {
	r := clusters.Range{Name: "r1", TrustDomain: "r1.test"}
	env := plan{}.env(r, "issuer")
	for _, name := range []string{"ENABLE_DEBUG_ENDPOINT_AUTH", "PILOT_ENABLE_XDS_IDENTITY_CHECK", "ENABLE_XDS_API_GENERATOR_AUTH"} {
		if env[name] != "true" {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	if got := (plan{}).plaintext("10.77.1.2:15010"); got != "--grpcAddr=" {
		t.Error(got)
	}
	open := plan{exposure: policy.Exposure{AnyDebug: true, PlaintextXDS: true}}
	if open.env(r, "issuer")["ENABLE_DEBUG_ENDPOINT_AUTH"] != "false" || !strings.HasSuffix(open.plaintext("10.77.1.2:15010"), ":15010") {
		t.Error("a mistake is not made")
	}
}

func TestTheProxiesComeBackToAnIstiodThatWasStartedAnew(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	open := meshtest.Friendly()
	open.Exposure.AnyDebug = true
	for _, p := range []policy.Policy{open, meshtest.Friendly()} {
		began := time.Now()
		took := b.Apply(t, p)
		var marks []string
		for _, w := range b.Range().Workloads {
			if w.Meshed {
				marks = append(marks, nodeLogKey(proxyID(w)))
			}
		}
		found, err := b.mesh.Evidence(limit(t), b.Range(), signals.Query{Nonces: marks, Since: began, Want: func([]signals.Signal) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		came := map[string]bool{}
		for _, s := range found {
			came[s.Nonce] = true
			t.Logf("%s after %s", s.Nonce, s.Seen.Sub(began))
		}
		if len(came) != len(marks) {
			t.Errorf("%d of %d proxies came back within %s", len(came), len(marks), took)
		}
		t.Logf("settled after %s", took)
	}
}
