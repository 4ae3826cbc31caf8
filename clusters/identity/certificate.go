package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// A signer is a CA certificate with its key.
type signer struct {
	cert   *x509.Certificate
	parent *x509.Certificate // who signed cert; nil for a root
	key    *ecdsa.PrivateKey
}

// newRoot makes a self-signed root. All roots of a trust domain have the same
// subject, as real meshes' roots have: only the key tells them apart, and an
// attacker copies the name for nothing.
func (c *CA) newRoot() (signer, error) {
	now := c.now()
	return sign(signer{}, &x509.Certificate{
		Subject:               c.subject("root"),
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	})
}

func (c *CA) newIntermediate(root signer) (signer, error) {
	now := c.now()
	return sign(root, &x509.Certificate{
		Subject:               c.subject("issuer"),
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	})
}

func (c *CA) subject(role string) pkix.Name {
	return pkix.Name{Organization: []string{c.td.Name()}, CommonName: "mesh " + role}
}

// mint makes a leaf. Certificates count whole seconds: an end is cut down and
// an asked-for beginning is rounded up, so that no leaf is ever valid for
// longer than asked.
func (c *CA) mint(from signer, q LeafRequest) (KeyPair, error) {
	id, err := identity(q)
	if err != nil {
		return KeyPair{}, fmt.Errorf("mint a leaf of %s: %w", q.Workload.Name, err)
	}
	start, end := c.validity(q)
	leaf, err := sign(from, &x509.Certificate{
		NotBefore:             start,
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{id},
	})
	if err != nil {
		return KeyPair{}, fmt.Errorf("mint a leaf of %s: %w", id, err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("mint a leaf of %s: %w", id, err)
	}
	return KeyPair{
		Chain: append(certificatePEM(leaf.cert.Raw), certificatePEM(from.cert.Raw)...),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, nil
}

// identity is the URI of a leaf. It is not held to the SPIFFE standard: an
// attacker's leaf may say what the standard forbids.
func identity(q LeafRequest) (*url.URL, error) {
	w := q.Workload
	if q.TrustDomain != "" {
		w.TrustDomain = q.TrustDomain
	}
	if w.TrustDomain == "" || w.Namespace == "" || w.Account == "" {
		return nil, errors.New("a workload without trust domain, namespace or account has no identity")
	}
	id, err := url.Parse(w.ID())
	if err == nil && q.TrustDomain != "" {
		id.Host = q.TrustDomain // the mesh's own form of an identity names its own trust domain
	}
	return id, err
}

func (c *CA) validity(q LeafRequest) (start, end time.Time) {
	start, end = q.NotBefore, q.NotAfter
	asked := !start.IsZero()
	if !asked {
		start = c.now().Add(-backdate)
	}
	if end.IsZero() {
		end = c.now().Add(LeafLifetime)
		if !start.Before(end) {
			end = start.Add(LeafLifetime)
		}
	}
	end = end.Truncate(time.Second)
	switch {
	case !asked && !start.Before(end): // a leaf that ended long ago began before it did
		start = end.Add(-LeafLifetime)
	case asked && !start.Equal(start.Truncate(time.Second)):
		start = start.Truncate(time.Second).Add(time.Second)
	}
	return start, end
}

// sign makes a key and a certificate for it, signed by a parent or, when the
// parent is zero, by itself.
func sign(parent signer, template *x509.Certificate) (signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signer{}, fmt.Errorf("make a key: %w", err)
	}
	by, byKey := parent.cert, parent.key
	if by == nil {
		by, byKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		return signer{}, fmt.Errorf("sign a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return signer{}, fmt.Errorf("read a signed certificate: %w", err)
	}
	return signer{cert: cert, parent: parent.cert, key: key}, nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
