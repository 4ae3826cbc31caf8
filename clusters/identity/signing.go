package identity

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Signing is what a control plane needs to issue leaves in the authority's
// place, PEM. Secret: it has no text form.
type Signing struct {
	Cert, Key []byte // of the intermediate that leaves come from
	Chain     []byte // from the intermediate up to its root, without the root
	Roots     []byte // all that are trusted, the signing one first
}

// String hides the key.
func (Signing) String() string { return "(signing authority)" }

// GoString hides the key.
func (Signing) GoString() string { return "(signing authority)" }

// Signing gives out the key that signs leaves now. It is for a mesh whose
// control plane is a real authority, and for nobody else.
func (c *CA) Signing() (Signing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, err := x509.MarshalECPrivateKey(c.issuer.key)
	if err != nil {
		return Signing{}, fmt.Errorf("give out the signing key of %s: %w", c.td, err)
	}
	cert := certificatePEM(c.issuer.cert.Raw)
	s := Signing{
		Cert: cert, Chain: cert,
		Key:   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
		Roots: certificatePEM(c.issuer.parent.Raw),
	}
	for _, root := range c.bundle.X509Authorities() {
		if !root.Equal(c.issuer.parent) {
			s.Roots = append(s.Roots, certificatePEM(root.Raw)...)
		}
	}
	return s, nil
}
