package envoy

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

type badLeaf struct {
	q      *identity.LeafRequest // nil shows none
	alert  string                // what the caller sees
	old    string                // the same on TLS 1.2, when it differs
	reason string                // what the sidecar says
	opens  policy.Trust          // what lets it in
}

func badLeaves(web clusters.Workload, now time.Time) map[string]badLeaf {
	return map[string]badLeaf{
		"expired": {
			q: &identity.LeafRequest{Workload: web, NotAfter: now.Add(-2 * time.Second)}, alert: "tls 45 certificate_expired",
			reason: "certificate_expired", opens: policy.Trust{AcceptExpired: true},
		},
		"not yet valid": {
			q: &identity.LeafRequest{Workload: web, NotBefore: now.Add(time.Hour)}, alert: "tls 45 certificate_expired",
			reason: "certificate_not_yet_valid", opens: policy.Trust{AcceptExpired: true},
		},
		"forged root": {
			q: &identity.LeafRequest{Workload: web, Forged: true}, alert: "tls 48 unknown_ca",
			reason: "unknown_ca", opens: policy.Trust{ExtraRoots: []string{"forged"}},
		},
		"foreign trust domain": {
			q: &identity.LeafRequest{Workload: web, TrustDomain: "evil.test"}, alert: "tls 46 certificate_unknown",
			reason: "fail_verify_san", opens: policy.Trust{AnyTrustDomain: true},
		},
		"none": {
			alert: "tls 116 certificate_required", old: "tls 40 handshake_failure",
			reason: "certificate_required", opens: policy.Trust{OptionalCertificate: true},
		},
	}
}

func (b *bed) present(t testing.TB, q *identity.LeafRequest, version string) attacker.Request {
	k := b.charge(t)
	k.TLS = &attacker.TLS{MaxVersion: version}
	if q != nil {
		k.TLS.Leaf = b.Leaf(t, *q)
	}
	return k
}

func TestEveryBadLeafIsRefusedForItsOwnReason(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	for name, c := range badLeaves(b.Workload(t, "web"), time.Now()) {
		for _, version := range []string{"1.2", ""} {
			// From behind a sidecar the handshake passes through it untouched.
			for _, from := range []string{"outsider", "thief"} {
				t.Run(name+" "+version+" "+from, func(t *testing.T) {
					o := b.Request(t, from, b.present(t, c.q, version))
					want := c.alert
					if version == "1.2" && c.old != "" {
						want = c.old
					}
					// A server that closes with our request unread resets, and on the way
					// through a second proxy the alert may be lost to that. What bank's
					// own sidecar says never is.
					if lost := from == "thief" && o.Refusal != nil && o.Refusal.Layer == attacker.LayerTCP; !lost {
						expect(t, o, want)
					}
					s := b.Refusal(t, o, "tls", c.reason)
					if s.Source.Addr() != b.Workload(t, from).Address || s.Raw == "" {
						t.Errorf("bank's sidecar says %+v", s)
					}
				})
			}
		}
	}
}

func TestEveryBadLeafIsLetInByTheTrustThatOpensIt(t *testing.T) {
	b := shared(t)
	now := time.Now()
	for name, c := range badLeaves(b.Workload(t, "web"), now) {
		t.Run(name, func(t *testing.T) {
			p := meshtest.Friendly()
			p.Trust = c.opens
			if c.q == nil {
				p.Allow[0].From = nil // without a leaf there is no identity
			}
			b.Apply(t, p)
			for other, d := range badLeaves(b.Workload(t, "web"), now) {
				o := b.Request(t, "outsider", b.present(t, d.q, ""))
				// Envoy cannot demand a trust domain of a certificate that is
				// optional; the rules still do, where they name anybody.
				same := other == name || d.opens.AcceptExpired && c.opens.AcceptExpired ||
					c.opens.OptionalCertificate && d.opens.AnyTrustDomain
				if meshtest.Served(o) != same {
					t.Errorf("%s under %s: %s", other, name, meshtest.Says(o))
				}
			}
		})
	}
}

func TestAGenuineLeafIsServedFromAnywhereAndTheSignalSaysFromWhere(t *testing.T) {
	b := shared(t)
	b.Apply(t, meshtest.Friendly())
	web := b.Workload(t, "web")
	pair, err := b.Authority(t).Delivered(limit(t), web)
	if err != nil {
		t.Fatal(err)
	}
	honest := b.Evidence(t, "bank", b.Request(t, "web", b.charge(t)))
	k := b.charge(t)
	k.TLS = &attacker.TLS{Leaf: &attacker.KeyPair{Chain: string(pair.Chain), Key: string(pair.Key)}}
	o := b.Request(t, "outsider", k)
	if !meshtest.Served(o) {
		t.Fatal(meshtest.Says(o))
	}
	stolen := b.Evidence(t, "bank", o)
	if stolen.Serial != honest.Serial {
		t.Errorf("the stolen leaf has serial %s, the honest one %s", stolen.Serial, honest.Serial)
	}
	if alerts := detectors.ForeignAddress().Alerts(detectors.Input{Signals: []signals.Signal{honest, stolen}, Range: b.Range()}); len(alerts) != 1 || alerts[0].Nonce != o.Nonce {
		t.Errorf("the detector says %+v", alerts)
	}
	p := meshtest.Friendly()
	p.Logging.NoAddress = true
	b.Apply(t, p)
	blind := b.Evidence(t, "bank", b.Request(t, "outsider", k))
	if blind.Source.IsValid() || len(detectors.ForeignAddress().Alerts(detectors.Input{Signals: []signals.Signal{blind}, Range: b.Range()})) != 0 {
		t.Errorf("an address is in the signal although the policy leaves it out: %+v", blind)
	}
	// What has no nonce is still joined by the address, without showing it.
	o = b.Request(t, "outsider", b.charge(t))
	if s := b.Refusal(t, o, "tcp", noChain); s.Source.IsValid() {
		t.Errorf("an address is in the signal: %+v", s)
	}
}
