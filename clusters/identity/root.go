package identity

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Root is the root that leaves come from now, with its key, for a control
// plane that signs leaves itself: what it signs and what this CA mints then
// verify under the same root. It must go to nobody else. The key is an EC
// PRIVATE KEY, which Consul and Istio both read.
func (c *CA) Root() (KeyPair, error) {
	c.mu.Lock()
	root := c.roots[c.signing]
	c.mu.Unlock()
	key, err := x509.MarshalECPrivateKey(root.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("write the key of the root: %w", err)
	}
	return KeyPair{
		Chain: certificatePEM(root.cert.Raw),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
	}, nil
}
