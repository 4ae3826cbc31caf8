package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

func TestWhatTheRootIsGivenToAndTheAuthorityVerifyAlike(t *testing.T) {
	ca, err := identity.NewCA("one.test", identity.CAOptions{})
	if err != nil {
		t.Fatal(err)
	}
	root, err := ca.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(root.Chain, root.Key); err != nil {
		t.Errorf("the key is not the root's: %v", err)
	}
	if string(root.Chain) != string(ca.Bundle()) {
		t.Error("the root is not what is trusted")
	}
}

func TestAForeignTrustDomainReplacesThatOfAMeshsOwnFormOfIdentity(t *testing.T) {
	ca, err := identity.NewCA("one.test", identity.CAOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := clusters.Workload{
		Name: "web", TrustDomain: "one.test", Namespace: "prod", Account: "web",
		Identity: "spiffe://one.test/ns/default/dc/dc1/svc/web",
	}
	for domain, want := range map[string]string{
		"":             w.Identity,
		"evil.example": strings.Replace(w.Identity, "one.test", "evil.example", 1),
	} {
		pair, err := ca.Leaf(t.Context(), identity.LeafRequest{Workload: w, TrustDomain: domain})
		if err != nil {
			t.Fatal(err)
		}
		both, err := tls.X509KeyPair(pair.Chain, pair.Key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(both.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != want {
			t.Errorf("in trust domain %q: %v, want %s", domain, leaf.URIs, want)
		}
	}
}
