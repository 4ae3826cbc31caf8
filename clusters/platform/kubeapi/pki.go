package kubeapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// The files of the API server, in its folder.
const (
	fileServerCert    = "server.crt"
	fileServerKey     = "server.key"
	fileAccountKey    = "account.key"
	fileAccountPublic = "account.pub"
	fileTokens        = "tokens.csv"
)

// Administrator is the user name of the harness.
const Administrator = "meshbreach"

// pki is what the harness made for the API server. The key that signs
// service-account tokens is the fixture's: with it, tokens are made that the
// API itself would not issue.
type pki struct {
	roots   *x509.CertPool
	server  []byte // certificate, PEM
	token   string // of the administrator
	account *ecdsa.PrivateKey
	public  []byte // of the account key, PEM
}

// newPKI makes keys and certificates and writes what the server reads.
func newPKI(dir string, at netip.Addr) (pki, error) {
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pki{}, fmt.Errorf("make a key: %w", err)
	}
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pki{}, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "kube-apiserver"},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
		DNSNames:    []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), at.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, serverKey.Public(), serverKey)
	if err != nil {
		return pki{}, fmt.Errorf("sign the server's certificate: %w", err)
	}
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return pki{}, fmt.Errorf("make a token: %w", err)
	}
	p := pki{
		roots:   x509.NewCertPool(),
		server:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		token:   hex.EncodeToString(random),
		account: account,
	}
	p.roots.AppendCertsFromPEM(p.server)
	public, err := x509.MarshalPKIXPublicKey(account.Public())
	if err != nil {
		return pki{}, fmt.Errorf("write the account key: %w", err)
	}
	p.public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return p, p.write(dir, serverKey)
}

// Certificate is what the server proves itself with, PEM; it is its own root.
func (a *API) Certificate() []byte { return a.pki.server }

// AccountKey is the public key that account tokens are verified with, PEM.
func (a *API) AccountKey() []byte { return a.pki.public }

func (p pki) write(dir string, serverKey *ecdsa.PrivateKey) error {
	key, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		return fmt.Errorf("write the server's key: %w", err)
	}
	account, err := x509.MarshalECPrivateKey(p.account)
	if err != nil {
		return fmt.Errorf("write the account key: %w", err)
	}
	for name, content := range map[string][]byte{
		fileServerCert:    p.server,
		fileServerKey:     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}),
		fileAccountKey:    pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: account}),
		fileAccountPublic: p.public,
		fileTokens:        []byte(p.token + `,` + Administrator + `,meshbreach,"system:masters"` + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
