package identity_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

// Not a whole second, so that rounding is seen.
var now = time.Date(2031, 5, 4, 3, 2, 1, 700e6, time.UTC)

var web = clusters.Workload{Name: "web", TrustDomain: "one.test", Namespace: "prod", Account: "web"}

func newCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.NewCA("one.test", identity.CAOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func leaf(t *testing.T, ca *identity.CA, q identity.LeafRequest) identity.KeyPair {
	t.Helper()
	if q.Workload.Name == "" {
		q.Workload = web
	}
	pair, err := ca.Leaf(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func issue(t *testing.T, ca *identity.CA) identity.KeyPair {
	t.Helper()
	pair, err := ca.Issue(web, 0)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func rotate(t *testing.T, ca *identity.CA, what ...identity.Rotation) {
	t.Helper()
	for _, w := range what {
		if err := ca.Rotate(w); err != nil {
			t.Fatal(err)
		}
	}
}

func certificates(t *testing.T, text []byte) []*x509.Certificate {
	t.Helper()
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, cert)
	}
	return out
}

// present shows a leaf to a TLS server that trusts a bundle, over a socket,
// and returns what the server says of it.
func present(t *testing.T, pair identity.KeyPair, bundle []byte, at time.Time) error {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		t.Fatal("the bundle has no certificate")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	verdict := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			verdict <- err
			return
		}
		defer conn.Close()
		verdict <- tls.Server(conn, &tls.Config{
			Certificates: []tls.Certificate{cert},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    pool,
			Time:         func() time.Time { return at },
		}).HandshakeContext(ctx)
	}()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The client verifies nobody: only the server's judgement is asked for.
	_ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}).HandshakeContext(ctx)
	select {
	case err := <-verdict:
		return err
	case <-ctx.Done():
		t.Fatal("the server never judged the leaf")
		return nil
	}
}

func outOfTime(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

func unknownRoot(err error) bool {
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &unknown)
}

func TestALeafIsAGoodSVIDAndIsTakenByWhoTrustsTheBundle(t *testing.T) {
	ca := newCA(t)
	pair := issue(t, ca)
	svid, err := x509svid.Parse(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if svid.ID.String() != web.ID() {
		t.Errorf("identity %s, want %s", svid.ID, web.ID())
	}
	if len(svid.Certificates) != 2 {
		t.Errorf("chain of %d, want leaf and intermediate", len(svid.Certificates))
	}
	if want := now.Add(-time.Minute).Truncate(time.Second); !svid.Certificates[0].NotBefore.Equal(want) {
		t.Errorf("begins %s, want a minute ago, %s", svid.Certificates[0].NotBefore, want)
	}
	if err := present(t, pair, ca.Bundle(), now); err != nil {
		t.Error(err)
	}
}

func TestALeafIsTakenOnlyInsideItsTime(t *testing.T) {
	ca := newCA(t)
	for name, c := range map[string]struct {
		q  identity.LeafRequest
		at time.Time
		ok bool
	}{
		"fresh":                   {identity.LeafRequest{}, now, true},
		"ended a second ago":      {identity.LeafRequest{NotAfter: now.Add(-time.Second)}, now, false},
		"ended a year ago":        {identity.LeafRequest{NotAfter: now.AddDate(-1, 0, 0)}, now, false},
		"in its time a year ago":  {identity.LeafRequest{NotAfter: now.Add(-30 * time.Minute)}, now.Add(-31 * time.Minute), true},
		"begins in a second":      {identity.LeafRequest{NotBefore: now.Add(time.Second)}, now.Add(time.Second - 1), false},
		"begins in a day":         {identity.LeafRequest{NotBefore: now.Add(24 * time.Hour)}, now, false},
		"a day later it is taken": {identity.LeafRequest{NotBefore: now.Add(24 * time.Hour)}, now.Add(24*time.Hour + time.Second), true},
		"run out":                 {identity.LeafRequest{}, now.Add(identity.LeafLifetime + time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := present(t, leaf(t, ca, c.q), ca.Bundle(), c.at)
			switch {
			case c.ok && err != nil:
				t.Error(err)
			case !c.ok && !outOfTime(err):
				t.Errorf("server said %v, want out of time", err)
			}
		})
	}
}

func TestAForgedLeafNamesTheSameIssuersAndIsRefused(t *testing.T) {
	ca := newCA(t)
	forged, good := leaf(t, ca, identity.LeafRequest{Forged: true}), leaf(t, ca, identity.LeafRequest{})
	f, g := certificates(t, forged.Chain), certificates(t, good.Chain)
	for i := range g {
		if !bytes.Equal(f[i].RawSubject, g[i].RawSubject) || !bytes.Equal(f[i].RawIssuer, g[i].RawIssuer) {
			t.Errorf("certificate %d is of %s by %s, want the same names as %s by %s", i, f[i].Subject, f[i].Issuer, g[i].Subject, g[i].Issuer)
		}
	}
	if err := present(t, forged, ca.Bundle(), now); !unknownRoot(err) {
		t.Errorf("server said %v, want an unknown root", err)
	}
	roots, _, err := ca.Public()
	if err != nil {
		t.Fatal(err)
	}
	if err := present(t, forged, []byte(roots[identity.RootMesh]+roots[identity.RootForged]), now); err != nil {
		t.Errorf("who trusts the forged root as well must take it: %v", err)
	}
}

func TestALeafOfAnotherTrustDomainComesFromTheTrustedRoot(t *testing.T) {
	ca := newCA(t)
	pair := leaf(t, ca, identity.LeafRequest{TrustDomain: "evil.test"})
	if got := certificates(t, pair.Chain)[0].URIs[0].String(); got != "spiffe://evil.test/ns/prod/sa/web" {
		t.Errorf("identity %s", got)
	}
	if err := present(t, pair, ca.Bundle(), now); err != nil {
		t.Error(err)
	}
}

func TestWhatHasNoIdentityGetsNoLeafAndNoAuthority(t *testing.T) {
	if _, err := newCA(t).Leaf(t.Context(), identity.LeafRequest{}); err == nil {
		t.Error("a workload without identity got a leaf")
	}
	if _, err := identity.NewCA("Not A Domain", identity.CAOptions{}); err == nil {
		t.Error("a malformed trust domain got an authority")
	}
}
