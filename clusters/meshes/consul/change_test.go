package consul

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

func TestARuleAdmitsWhatItNamesAndRefusesTheRestAtTheTarget(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	if o := b.Request(t, "web", b.charge(t)); !meshtest.Served(o) {
		t.Error(meshtest.Says(o))
	}
	rates := b.charge(t)
	rates.Method, rates.Path = http.MethodGet, "/v1/rates"
	if o := b.Request(t, "thief", rates); !meshtest.Served(o) {
		t.Error(meshtest.Says(o))
	}
	o := b.Request(t, "thief", b.charge(t))
	s := b.Refusal(t, o, "http", "rbac_access_denied_matched_policy[none]")
	thief := b.Workload(t, "thief")
	if s.Status != http.StatusForbidden || len(s.Identity) != 1 || s.Identity[0] != thief.ID() || s.Source.Addr() != thief.Address || s.Serial == "" {
		t.Errorf("%+v", s)
	}
	if out := b.Evidence(t, "thief", o); out.Inbound || out.Refused {
		t.Errorf("the thief's own sidecar: %+v", out)
	}
	refund := b.charge(t)
	refund.Path = "/v1/refund"
	if o := b.Request(t, "web", refund); meshtest.Served(o) {
		t.Error("web may refund")
	}
}

func TestWhatIsOpenIsRefusedOnceARevocationHasSettled(t *testing.T) {
	b := shared(t)
	for _, protocol := range []string{"http1", "http2", "http2-stream"} {
		t.Run(protocol, func(t *testing.T) {
			b.Apply(t, generous())
			k := b.charge(t)
			k.Protocol, k.Connection = protocol, meshtest.Nonce()
			if o := b.Request(t, "thief", k); !meshtest.Served(o) {
				t.Fatal(meshtest.Says(o))
			}
			t.Logf("settled after %s", b.Apply(t, friendly()))
			if o := b.Request(t, "thief", k); meshtest.Served(o) {
				t.Errorf("still served: %s", meshtest.Says(o))
			}
		})
	}
}

func TestWithTheSamePolicyNothingIsWaitedFor(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	calm := b.sidecar(t, "bank").calmAt()
	t.Logf("settled after %s", b.Apply(t, friendly()))
	if now := b.sidecar(t, "bank").calmAt(); now != calm {
		t.Errorf("the listeners changed %d times", now-calm)
	}
}

func TestPlaintextIsRefusedAndTakenWherePermissive(t *testing.T) {
	b := shared(t)
	plain := b.chargeAt(b.Workload(t, "bank").Address)
	b.Apply(t, friendly())
	o := b.Request(t, "outsider", plain)
	if meshtest.Served(o) {
		t.Fatal("plaintext was served")
	}
	b.Refusal(t, o, "tls", "tls:HTTP_REQUEST")
	health := plain
	health.Address = netip.AddrPortFrom(b.Workload(t, "bank").Address, clusters.PortHealth).String()
	if o := b.Request(t, "outsider", health); !meshtest.Served(o) {
		t.Errorf("a port that is excluded from the redirection: %s", meshtest.Says(o))
	}
	loose := friendly()
	loose.MTLS = policy.Permissive
	b.Apply(t, loose)
	if o := b.Request(t, "outsider", plain); !meshtest.Served(o) {
		t.Errorf("permissive: %s", meshtest.Says(o))
	}
	b.Apply(t, friendly())
	if o := b.Request(t, "outsider", plain); meshtest.Served(o) {
		t.Error("after permissive it is served still")
	}
}

func TestAChangeThatIsWithheldChangesNothing(t *testing.T) {
	b := shared(t)
	b.HoldsBack(t, generous(), friendly(), b.charge(t))
}

func TestALogWithoutAddressesHasNone(t *testing.T) {
	b := shared(t)
	blind := friendly()
	blind.Logging.NoAddress = true
	b.Apply(t, blind)
	o := b.Request(t, "web", b.charge(t))
	if s := b.Evidence(t, "bank", o); s.Source.IsValid() || s.Onward.IsValid() || s.Nonce != o.Nonce {
		t.Errorf("%+v", s)
	}
	b.Apply(t, friendly())
	if s := b.Evidence(t, "bank", b.Request(t, "web", b.charge(t))); !s.Source.IsValid() {
		t.Errorf("%+v", s)
	}
}

// The server is in reach of every workload, and keeps to itself what it holds.
func TestTheServerTellsAWorkloadNothingOfItsAuthority(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly()) // there is an entry to read
	st := b.mesh.stages[b.Range().Name]
	for path, own := range map[string]bool{
		"/v1/connect/ca/configuration": false, "/v1/acl/tokens": false,
		"/v1/config/service-intentions/bank": true, // whoever is a service may read
	} {
		o := b.Request(t, "thief", attacker.Request{
			Address: netip.AddrPortFrom(st.server.at, portHTTP).String(), Method: http.MethodGet, Path: path,
		})
		if meshtest.Served(o) || o.Refusal.Code != http.StatusForbidden {
			t.Errorf("without a token, %s: %s", path, meshtest.Says(o))
		}
		err := st.server.api.as(limit(t), b.sidecar(t, "thief").token, http.MethodGet, path, nil, nil)
		if (err == nil) != own {
			t.Errorf("with the thief's own token, %s: %v", path, err)
		}
	}
}
