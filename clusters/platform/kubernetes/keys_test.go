package kubernetes

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

func text(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestAnAccountKeyIsReadInAnyForm(t *testing.T) {
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, ecErr := x509.MarshalECPrivateKey(curve)
	p8, p8Err := x509.MarshalPKCS8PrivateKey(curve)
	for name, test := range map[string]struct {
		pem  []byte
		want crypto.PublicKey
	}{
		"pkcs1": {text(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(old), nil), old.Public()},
		"ec":    {text(t, "EC PRIVATE KEY", ec, ecErr), curve.Public()},
		"pkcs8": {text(t, "PRIVATE KEY", p8, p8Err), curve.Public()},
	} {
		got, err := signer(test.pem)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same, ok := got.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !same.Equal(test.want) {
			t.Errorf("%s: another key", name)
		}
	}
}

func TestWhatIsNoKeyIsSaidWithoutItsText(t *testing.T) {
	for _, secret := range [][]byte{[]byte("hunter2"), pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("hunter2")})} {
		_, err := signer(secret)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

func TestWithoutNodesThereIsNoAuditLogAndNoKey(t *testing.T) {
	h := &Host{}
	if err := h.Audit(context.Background(), nil); !errors.Is(err, ErrNoNodes) {
		t.Errorf("audit: %v", err)
	}
	if _, err := h.AccountKey(context.Background()); !errors.Is(err, ErrNoNodes) {
		t.Errorf("key: %v", err)
	}
}

func TestARunsNameMustMakeNames(t *testing.T) {
	for name, want := range map[string]bool{"ab12cd34": true, "1234": true, "": false, "Run": false, "a.b": false, strings.Repeat("a", 60): false} {
		if err := check(clusters.Spec{Name: name, Ranges: 1}); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := check(clusters.Spec{Name: "a"}); err == nil {
		t.Error("no ranges are enough")
	}
}

func TestALogsLinesLoseTheirTime(t *testing.T) {
	at, rest, ok := stamped([]byte("2026-01-02T03:04:05.6Z a line"))
	if want := time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC); !ok || !at.Equal(want) || string(rest) != "a line" {
		t.Errorf("%v %q %v", at, rest, ok)
	}
	if _, rest, ok := stamped([]byte("2026-01-02T03:04:05.6Z")); !ok || len(rest) != 0 {
		t.Errorf("an empty line: %q %v", rest, ok)
	}
	if _, _, ok := stamped([]byte("unable to retrieve logs")); ok {
		t.Error("a time was found where none is")
	}
}
