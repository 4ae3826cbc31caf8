package attackertest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshbreach/meshbreach/attacker"
)

// A Policy is what a hardened server allows; the zero value allows nothing.
type Policy struct {
	Allow    []Rule
	Issuer   *Issuer // whose tokens are demanded on top; nil demands none
	Audience string  // of those tokens
}

// A Rule allows one identity some requests. Raw TCP is allowed by any rule of
// the identity.
type Rule struct {
	Identity string   // a SPIFFE ID, or the DNS name of a leaf without one, exactly
	Methods  []string // any when empty
	Paths    []string // exactly, undecoded; any when empty
}

// A Hardened server demands mutual TLS within its trust domain, and then that
// a rule allows the request, and then a right token of the same identity.
type Hardened struct {
	Target  attacker.Target
	Port    int // HTTP/1.1 and HTTP/2 within mutual TLS
	TCPPort int // the line protocol within mutual TLS

	policy Policy
	domain spiffeid.TrustDomain
	mu     sync.Mutex
	denied map[string]bool     // identities that were revoked
	open   map[net.Conn]string // connections by proven identity
	served []string            // nonces
	conns  sync.WaitGroup      // raw TCP connections
}

// HardenedServer starts a server on loopback; it ends with the test.
func HardenedServer(t testing.TB, ca *CA, p Policy) *Hardened {
	t.Helper()
	domain, err := spiffeid.TrustDomainFromString(ca.TrustDomain)
	if err != nil {
		t.Fatalf("trust domain of the server: %v", err)
	}
	id := ca.ID("prod", "bank")
	leaf := ca.Leaf(LeafSpec{URIs: []string{id}, DNS: []string{"bank.prod"}})
	cert, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key))
	if err != nil {
		t.Fatalf("leaf of the server: %v", err)
	}
	h := &Hardened{policy: p, domain: domain, denied: map[string]bool{}, open: map[net.Conn]string{}}
	config := &tls.Config{
		Certificates:     []tls.Certificate{cert},
		ClientAuth:       tls.RequireAndVerifyClientCert,
		ClientCAs:        ca.Pool(),
		VerifyConnection: func(s tls.ConnectionState) error { _, err := h.identity(s); return err },
	}
	h.Target = attacker.Target{Workload: "bank", Address: "127.0.0.1", Host: "bank.prod", Identity: id}
	h.Port = h.serveHTTP(t, config.Clone())
	h.TCPPort = h.serveTCP(t, config.Clone())
	return h
}

// identity is the one SPIFFE ID that a peer proved, or the one DNS name of a leaf
// without URIs. A leaf with several is refused: nobody could say whom it speaks
// for.
func (h *Hardened) identity(s tls.ConnectionState) (string, error) {
	leaf := s.PeerCertificates[0]
	uris := leaf.URIs
	if names := leaf.DNSNames; len(uris) == 0 && len(names) == 1 && strings.HasSuffix(names[0], "."+h.domain.Name()) {
		return names[0], nil
	}
	if len(uris) != 1 {
		return "", errors.New("the leaf does not have exactly one URI")
	}
	id, err := spiffeid.FromURI(uris[0])
	if err != nil {
		return "", fmt.Errorf("identity of the leaf: %w", err)
	}
	if !id.MemberOf(h.domain) {
		return "", errors.New("the leaf is of another trust domain")
	}
	return id.String(), nil
}

// Revoke takes an identity's rules away and ends what it has open. When it
// returns, nothing of that identity is served any more.
func (h *Hardened) Revoke(identity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.denied[identity] = true
	for c, id := range h.open {
		if id == identity {
			c.Close()
		}
	}
}

// Served is the nonces of the requests that were let through, in order.
func (h *Hardened) Served() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.served)
}

// allowed judges and, when it allows, takes note of the nonce in the same
// breath: otherwise a request could pass while Revoke returns.
func (h *Hardened) allowed(identity, nonce string, rule func(Rule) bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ok := !h.denied[identity] && slices.ContainsFunc(h.policy.Allow, func(r Rule) bool {
		return r.Identity == identity && rule(r)
	})
	if ok {
		h.served = append(h.served, nonce)
	}
	return ok
}

func (h *Hardened) opened(c net.Conn, identity string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[c] = identity
}

func (h *Hardened) closed(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

type connKey struct{}

func (h *Hardened) serveHTTP(t testing.TB, config *tls.Config) int {
	t.Helper()
	l := Listen(t)
	config.NextProtos = []string{"h2", "http/1.1"}
	server := &http.Server{
		Handler:     h,
		TLSConfig:   config,
		ErrorLog:    log.New(io.Discard, "", 0), // refused handshakes are what is tried here
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				h.closed(c)
			}
		},
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("stop the hardened server: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("hardened server: %v", err)
		}
	})
	return port(l)
}

// ServeHTTP answers 403 to who or what is not allowed, 401 to a wrong token,
// and 200 otherwise.
func (h *Hardened) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	identity, err := h.identity(*r.TLS)
	if err != nil {
		http.Error(w, "identity not allowed", http.StatusForbidden)
		return
	}
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		h.opened(c, identity)
	}
	if status, why := h.policy.checkToken(r, identity); status != http.StatusOK {
		http.Error(w, why, status)
		return
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	rule := func(rule Rule) bool {
		return (len(rule.Methods) == 0 || slices.Contains(rule.Methods, r.Method)) &&
			(len(rule.Paths) == 0 || slices.Contains(rule.Paths, path))
	}
	if !h.allowed(identity, r.Header.Get(attacker.HeaderNonce), rule) {
		http.Error(w, "identity, method or path not allowed", http.StatusForbidden)
		return
	}
	w.Header().Set(attacker.HeaderEpoch, "hardened")
	if r.Header.Get(attacker.HeaderStream) == "" {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	if flush() == nil {
		h.lines(r.Body, w, flush, identity, rule)
	}
}

func (h *Hardened) serveTCP(t testing.TB, config *tls.Config) int {
	t.Helper()
	l := Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			h.opened(raw, "")
			h.conns.Go(func() {
				defer h.closed(raw)
				defer raw.Close()
				h.tcp(t.Context(), raw, config)
			})
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		h.mu.Lock()
		for c := range h.open {
			c.Close()
		}
		h.mu.Unlock()
		h.conns.Wait()
	})
	return port(l)
}

func (h *Hardened) tcp(ctx context.Context, raw net.Conn, config *tls.Config) {
	conn := tls.Server(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return // the peer was told by an alert
	}
	identity, err := h.identity(conn.ConnectionState())
	if err != nil {
		return
	}
	h.opened(raw, identity)
	h.lines(conn, conn, func() error { return nil }, identity, func(Rule) bool { return true })
}

// lines speaks the line protocol and judges every line anew.
func (h *Hardened) lines(r io.Reader, w io.Writer, flush func() error, identity string, rule func(Rule) bool) {
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		nonce, ok := strings.CutPrefix(scan.Text(), attacker.LineNonce+" ")
		if !ok || !h.allowed(identity, nonce, rule) {
			return
		}
		if _, err := fmt.Fprintf(w, "%s hardened %s\n", attacker.LineOK, nonce); err != nil {
			return
		}
		if flush() != nil {
			return
		}
	}
}

// Listen listens on loopback.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen on loopback: %v", err)
	}
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
