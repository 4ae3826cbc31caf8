package attacker

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// link is one connection that requests go over.
type link struct {
	raw    net.Conn // the TCP connection
	conn   net.Conn // what the protocol is spoken on: raw, or TLS over it
	reader *bufio.Reader
	peer   Identity
	secure bool
	used   bool // an earlier request was made on it

	h2      *http2.ClientConn // protocols http2 and http2-stream
	patient *patient          // what h2 is spoken on
	lines   *stream           // protocol http2-stream, once it is open
}

// open dials k.Address and shakes hands. The observation is told how far it
// came, also when there is an error.
func (f Foothold) open(ctx context.Context, k Request, o *Observation) (*link, error) {
	dial := f.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", k.Address)
	if err != nil {
		return nil, err
	}
	l := &link{raw: raw, conn: raw}
	l.describe(o)
	if k.TLS != nil {
		err = l.handshake(ctx, k)
		l.describe(o)
	}
	if err == nil && (k.Protocol == ProtocolHTTP2 || k.Protocol == ProtocolStream) {
		l.patient = &patient{Conn: l.conn}
		l.h2, err = new(http2.Transport).NewClientConn(l.patient)
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	l.reader = bufio.NewReader(l.conn)
	return l, nil
}

// handshake speaks TLS and verifies nobody: it wants to be judged.
func (l *link) handshake(ctx context.Context, k Request) error {
	config, err := clientConfig(k)
	if err != nil {
		return err
	}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		// Kept even when the handshake fails later: who refused is evidence.
		l.peer = identityOf(s.PeerCertificates)
		return nil
	}
	secure := tls.Client(l.raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return err
	}
	l.conn, l.secure = secure, true
	return nil
}

func clientConfig(k Request) (*tls.Config, error) {
	config := &tls.Config{
		InsecureSkipVerify: true,
		ServerName:         k.TLS.ServerName,
		NextProtos:         k.TLS.ALPN,
		MinVersion:         tls.VersionTLS12,
	}
	if len(config.NextProtos) == 0 && (k.Protocol == ProtocolHTTP2 || k.Protocol == ProtocolStream) {
		config.NextProtos = []string{"h2"}
	}
	if k.TLS.MaxVersion == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	leaf := new(tls.Certificate)
	if k.TLS.Leaf != nil {
		pair, err := tls.X509KeyPair([]byte(k.TLS.Leaf.Chain), []byte(k.TLS.Leaf.Key))
		if err != nil {
			return nil, unsent{fmt.Sprintf("unusable leaf: %v", err)}
		}
		leaf = &pair
	}
	// Certificates would send the leaf only when the server's list of
	// authorities allows it; a hostile leaf has to travel all the same.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return leaf, nil }
	return config, nil
}

func identityOf(chain []*x509.Certificate) Identity {
	if len(chain) == 0 {
		return Identity{}
	}
	leaf := chain[0]
	id := Identity{DNS: leaf.DNSNames, Serial: fmt.Sprintf("%x", leaf.SerialNumber), NotAfter: leaf.NotAfter}
	for _, u := range leaf.URIs {
		id.URIs = append(id.URIs, u.String())
	}
	return id
}

// describe tells the observation what this connection is.
func (l *link) describe(o *Observation) {
	o.Local, o.Remote = addrPort(l.raw.LocalAddr()), addrPort(l.raw.RemoteAddr())
	o.Peer = l.peer
	o.Seen = Transport
	if l.secure {
		o.Seen = Handshake
	}
}

// guard makes reads and writes fail when ctx ends. Call the result when the
// request is over; the connection is then free of this ctx.
func (l *link) guard(ctx context.Context) (release func()) {
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cut)
		_ = l.raw.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if stop() {
			return
		}
		<-cut
		_ = l.raw.SetDeadline(time.Time{})
	}
}

// close ends the connection without a TLS goodbye: after a hostile request the
// peer may not read any more, and nothing may wait for it.
func (l *link) close() {
	_ = l.raw.Close()
	if l.h2 != nil {
		_ = l.h2.Close()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// patient hides failed writes from a library that would end the conversation
// with them. In TLS 1.3 the server judges our leaf after our handshake ended:
// a write may fail although the alert that says why can still be read.
type patient struct {
	net.Conn
	mu    sync.Mutex
	kind  []byte // the first bytes read, up to the type of the first frame
	read  error  // how reading ended
	wrote error  // the first write that failed
}

// ended says how reading ended; nil while it goes on.
func (p *patient) ended() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read == nil {
		return nil
	}
	return telling(p.read, p.wrote)
}

func (p *patient) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	if err == nil {
		return n, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrote == nil {
		p.wrote = err
	}
	// Once the read has failed too there is nothing left to wait for.
	if p.read != nil {
		return n, err
	}
	return len(b), nil
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if missing := 4 - len(p.kind); missing > 0 {
		p.kind = append(p.kind, b[:min(missing, n)]...)
	}
	if err != nil {
		p.read = err
	}
	return n, err
}

// foreign says that the peer does not speak HTTP/2: RFC 9113, section 3.4,
// makes it begin with a SETTINGS frame.
func (p *patient) foreign() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kind) == 4 && http2.FrameType(p.kind[3]) != http2.FrameSettings
}
