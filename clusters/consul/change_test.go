package consul

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
)

func TestARuleAdmitsWhatItNamesAndRefusesTheRestAtTheTarget(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	if o := b.knock(t, "web", b.charge(t)); !served(o) {
		t.Error(says(o))
	}
	rates := b.charge(t)
	rates.Method, rates.Path = http.MethodGet, "/v1/rates"
	if o := b.knock(t, "thief", rates); !served(o) {
		t.Error(says(o))
	}
	o := b.knock(t, "thief", b.charge(t))
	s := b.refusal(t, o, "http", "rbac_access_denied_matched_policy[none]")
	thief := b.workload(t, "thief")
	if s.Status != http.StatusForbidden || len(s.Identity) != 1 || s.Identity[0] != thief.ID() || s.Source.Addr() != thief.Address || s.Serial == "" {
		t.Errorf("%+v", s)
	}
	if out := b.evidence(t, "thief", o); out.Inbound || out.Refused {
		t.Errorf("the thief's own sidecar: %+v", out)
	}
	refund := b.charge(t)
	refund.Path = "/v1/refund"
	if o := b.knock(t, "web", refund); served(o) {
		t.Error("web may refund")
	}
}

func TestWhatIsOpenIsRefusedOnceARevocationHasSettled(t *testing.T) {
	b := shared(t)
	for _, protocol := range []string{"http1", "http2", "http2-stream"} {
		t.Run(protocol, func(t *testing.T) {
			b.apply(t, generous())
			k := b.charge(t)
			k.Protocol, k.Connection = protocol, nonce()
			if o := b.knock(t, "thief", k); !served(o) {
				t.Fatal(says(o))
			}
			t.Logf("settled after %s", b.apply(t, friendly()))
			if o := b.knock(t, "thief", k); served(o) {
				t.Errorf("still served: %s", says(o))
			}
		})
	}
}

func TestWithTheSamePolicyNothingIsWaitedFor(t *testing.T) {
	b := shared(t)
	b.apply(t, friendly())
	calm := b.sidecar(t, "bank").calmAt()
	t.Logf("settled after %s", b.apply(t, friendly()))
	if now := b.sidecar(t, "bank").calmAt(); now != calm {
		t.Errorf("the listeners changed %d times", now-calm)
	}
}

func TestPlaintextIsRefusedAndTakenWherePermissive(t *testing.T) {
	b := shared(t)
	plain := b.chargeAt(b.workload(t, "bank").Address)
	b.apply(t, friendly())
	o := b.knock(t, "outsider", plain)
	if served(o) {
		t.Fatal("plaintext was served")
	}
	b.refusal(t, o, "tls", "tls:HTTP_REQUEST")
	health := plain
	health.Address = netip.AddrPortFrom(b.workload(t, "bank").Address, clusters.PortHealth).String()
	if o := b.knock(t, "outsider", health); !served(o) {
		t.Errorf("a port that is excluded from the redirection: %s", says(o))
	}
	loose := friendly()
	loose.MTLS = clusters.Permissive
	b.apply(t, loose)
	if o := b.knock(t, "outsider", plain); !served(o) {
		t.Errorf("permissive: %s", says(o))
	}
	b.apply(t, friendly())
	if o := b.knock(t, "outsider", plain); served(o) {
		t.Error("after permissive it is served still")
	}
}

func TestAChangeThatIsWithheldChangesNothing(t *testing.T) {
	b := shared(t)
	b.apply(t, generous())
	held := friendly()
	held.Changes.Withhold = true
	b.apply(t, held)
	if o := b.knock(t, "thief", b.charge(t)); !served(o) {
		t.Error(says(o))
	}
	b.apply(t, friendly())
	if o := b.knock(t, "thief", b.charge(t)); served(o) {
		t.Error("the change that was not withheld does not hold")
	}
}

func TestALogWithoutAddressesHasNone(t *testing.T) {
	b := shared(t)
	blind := friendly()
	blind.Logging.NoAddress = true
	b.apply(t, blind)
	o := b.knock(t, "web", b.charge(t))
	if s := b.evidence(t, "bank", o); s.Source.IsValid() || s.Onward.IsValid() || s.Nonce != o.Nonce {
		t.Errorf("%+v", s)
	}
	b.apply(t, friendly())
	if s := b.evidence(t, "bank", b.knock(t, "web", b.charge(t))); !s.Source.IsValid() {
		t.Errorf("%+v", s)
	}
}

// The server is in reach of every workload, and keeps to itself what it holds.
func TestTheServerTellsAWorkloadNothingOfItsAuthority(t *testing.T) {
	b := shared(t)
	st := b.mesh.stages[b.r().Name]
	for path, own := range map[string]bool{
		"/v1/connect/ca/configuration": false, "/v1/acl/tokens": false,
		"/v1/config/service-intentions/bank": true, // whoever is a service may read
	} {
		o := b.knock(t, "thief", attacker.Knock{
			Address: netip.AddrPortFrom(st.server.at, portHTTP).String(), Method: http.MethodGet, Path: path,
		})
		if served(o) || o.Refusal.Code != http.StatusForbidden {
			t.Errorf("without a token, %s: %s", path, says(o))
		}
		err := st.server.api.as(limit(t), b.sidecar(t, "thief").token, http.MethodGet, path, nil, nil)
		if (err == nil) != own {
			t.Errorf("with the thief's own token, %s: %v", path, err)
		}
	}
}
