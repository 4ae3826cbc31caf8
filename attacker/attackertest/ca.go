// Package attackertest has what an attack is tried against: a naive server
// that believes everybody, a hardened one that believes nobody without proof,
// and the authorities that make genuine and hostile certificates and tokens.
// It speaks the real protocols over loopback sockets.
package attackertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// A CA is a throwaway certificate authority of one trust domain.
type CA struct {
	TrustDomain string
	t           testing.TB
	cert        *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes an authority whose root is valid for an hour.
func NewCA(t testing.TB, trustDomain string) *CA {
	t.Helper()
	key := newKey(t)
	root := &x509.Certificate{
		SerialNumber:          serial(t),
		Subject:               pkix.Name{CommonName: trustDomain},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatalf("sign root of %s: %v", trustDomain, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("read root of %s: %v", trustDomain, err)
	}
	return &CA{TrustDomain: trustDomain, t: t, cert: cert, key: key}
}

// ID is the SPIFFE ID of an account in a namespace of the trust domain.
func (c *CA) ID(namespace, account string) string {
	return "spiffe://" + c.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// DNS is the same identity as a DNS name, as Linkerd's leaves have it.
func (c *CA) DNS(namespace, account string) string {
	return account + "." + namespace + ".serviceaccount.identity." + c.TrustDomain
}

// Pool holds the root.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// A LeafSpec says what a leaf holds. Nothing is checked: several URIs, foreign
// trust domains and times in the wrong order are signed as they stand.
type LeafSpec struct {
	URIs      []string
	DNS       []string
	NotBefore time.Time // an hour ago when zero
	NotAfter  time.Time // in an hour when zero
}

// For is the spec of a leaf with these identities, URIs or DNS names.
func For(identities ...string) LeafSpec {
	var spec LeafSpec
	for _, id := range identities {
		if attacker.URI(id) {
			spec.URIs = append(spec.URIs, id)
		} else {
			spec.DNS = append(spec.DNS, id)
		}
	}
	return spec
}

// Leaf signs a leaf for client and server use.
func (c *CA) Leaf(spec LeafSpec) *attacker.KeyPair {
	c.t.Helper()
	key := newKey(c.t)
	chain, err := c.sign(spec, key.Public())
	if err != nil {
		c.t.Fatalf("sign leaf for %v: %v", spec.URIs, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatalf("write leaf key: %v", err)
	}
	return &attacker.KeyPair{
		Chain: chain,
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
}

// sign signs a leaf for a key, PEM. An authority calls it while it serves, so
// it must not end the test.
func (c *CA) sign(spec LeafSpec, public any) (string, error) {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: number.Add(number, big.NewInt(1)),
		NotBefore:    orTime(spec.NotBefore, time.Now().Add(-time.Hour)),
		NotAfter:     orTime(spec.NotAfter, time.Now().Add(time.Hour)),
		DNSNames:     spec.DNS,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, s := range spec.URIs {
		u, err := url.Parse(s)
		if err != nil {
			return "", err
		}
		leaf.URIs = append(leaf.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, c.cert, public, c.key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), err
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make key: %v", err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("make serial number: %v", err)
	}
	return n.Add(n, big.NewInt(1))
}

func orTime(at, otherwise time.Time) time.Time {
	if at.IsZero() {
		return otherwise
	}
	return at
}
