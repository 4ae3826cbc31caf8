package app

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

const (
	recordHandshake = 0x16 // first byte of a TLS connection
	sniffLimit      = 10 * time.Second
	mostBody        = 1 << 20
)

// sniffed is a connection whose first byte was looked at.
type sniffed struct {
	net.Conn
	reader *bufio.Reader
}

func (s *sniffed) Read(b []byte) (int, error) { return s.reader.Read(b) }

// sniff gives c back as TLS when that is what the client speaks.
func (a *App) sniff(c net.Conn) (net.Conn, error) {
	s := &sniffed{Conn: c, reader: bufio.NewReader(c)}
	_ = c.SetReadDeadline(time.Now().Add(sniffLimit))
	first, err := s.reader.Peek(1)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{})
	if first[0] == recordHandshake {
		return tls.Server(s, a.secure), nil
	}
	return s, nil
}

// queue is a net.Listener of connections that were sniffed.
type queue struct {
	addr  net.Addr
	ready chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.ready:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *queue) Addr() net.Addr { return q.addr }

func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// serveHTTP starts the server of a port. net/http tells HTTP/1.1 from HTTP/2,
// by preface in plaintext and by ALPN in TLS.
func (a *App) serveHTTP(p *port) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	number := p.number()
	p.http = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.answer(w, r, number) }),
		Protocols:         protocols,
		TLSConfig:         a.secure.Clone(), // the server writes into it
		ErrorLog:          a.log,
		ReadHeaderTimeout: sniffLimit,
		// One connection of HTTP/2 carries what many of HTTP/1.1 would.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
	q := &queue{addr: p.listener.Addr(), ready: make(chan net.Conn), done: make(chan struct{})}
	a.work.Go(func() {
		defer func() { _ = q.Close() }()
		a.accept(p.listener, func(c net.Conn) { a.pass(c, q) })
	})
	server := p.http
	a.work.Go(func() {
		if err := server.Serve(q); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			a.log.Printf("serve port %d: %v", number, err)
		}
	})
}

// pass hands a connection to the server of its port, which owns it from then on.
func (a *App) pass(c net.Conn, q *queue) {
	defer a.release(c)
	s, err := a.sniff(c)
	if err != nil {
		_ = c.Close()
		return
	}
	select {
	case q.ready <- s:
	case <-q.done:
		_ = c.Close()
	}
}

// answer serves any request with "ok".
func (a *App) answer(w http.ResponseWriter, r *http.Request, number int) {
	receipt := a.receipt(r, number)
	header := w.Header()
	header[attacker.HeaderEpoch] = []string{a.receipts.epoch}
	if r.Header.Get(attacker.HeaderStream) != "" {
		a.stream(w, r, receipt)
		return
	}
	// An attacker's body may be long or never end: read what is reasonable.
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, mostBody))
	header[attacker.HeaderSeq] = []string{strconv.FormatUint(a.receipts.write(receipt), 10)}
	if to := r.URL.Query().Get("to"); r.URL.Path == attacker.PathRedirect && to != "" {
		header.Set("Location", to)
		w.WriteHeader(http.StatusFound)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// nonce is what joins a request with its receipt. Who fetches an address for
// somebody else has it in the query alone.
func nonce(r *http.Request) string {
	if named := r.Header.Get(attacker.HeaderNonce); named != "" {
		return named
	}
	return r.URL.Query().Get("nonce")
}

// receipt is what is remembered of a request. Its headers are not: they may
// hold a token.
func (a *App) receipt(r *http.Request, number int) attacker.Receipt {
	return attacker.Receipt{
		Nonce:    nonce(r),
		Port:     number,
		Protocol: r.Proto,
		TLS:      r.TLS != nil,
		Method:   r.Method,
		Path:     withoutSecrets(r.RequestURI),
		Host:     r.Host,
		Identity: append(forwarded(r.Header.Values("X-Forwarded-Client-Cert")), presented(r.TLS)...),
		Remote:   addrPort(r.RemoteAddr),
	}
}

// stream answers the lines of a body while it arrives. Opening it leaves a
// receipt too: the request got through, whatever becomes of its lines.
func (a *App) stream(w http.ResponseWriter, r *http.Request, receipt attacker.Receipt) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // HTTP/1.1 needs it; HTTP/2 has it and says so with an error
	w.Header()[attacker.HeaderSeq] = []string{strconv.FormatUint(a.receipts.write(receipt), 10)}
	w.WriteHeader(http.StatusOK)
	if rc.Flush() != nil {
		return
	}
	written := receipt.Nonce
	a.lines(bufio.NewReaderSize(r.Body, attacker.LineLimit), func(nonce string) error {
		receipt.Nonce = nonce
		if nonce == "" || nonce != written {
			a.receipts.write(receipt)
		}
		if _, err := io.WriteString(w, a.line(nonce)); err != nil {
			return err
		}
		return rc.Flush()
	})
}

func (a *App) line(nonce string) string {
	return attacker.LineOK + " " + a.receipts.epoch + " " + nonce + "\n"
}

// lines calls each with the nonce of every line; a line that is not ours has
// an empty one.
func (a *App) lines(r *bufio.Reader, each func(nonce string) error) {
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			nonce, ok := strings.CutPrefix(string(bytes.TrimRight(line, "\r\n")), attacker.LineNonce+" ")
			if !ok || strings.ContainsAny(nonce, " \t") {
				nonce = ""
			}
			if each(nonce) != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// serveTCP speaks the line protocol, in TLS when the client does.
func (a *App) serveTCP(p *port) {
	number := p.number()
	a.accept(p.listener, func(c net.Conn) {
		defer a.release(c)
		defer c.Close()
		s, err := a.sniff(c)
		if err != nil {
			return
		}
		receipt := attacker.Receipt{Port: number, Protocol: TCP, Remote: addrPort(c.RemoteAddr().String())}
		if secure, ok := s.(*tls.Conn); ok {
			if err := secure.Handshake(); err != nil {
				a.log.Printf("port %d: %v", number, err)
				return
			}
			state := secure.ConnectionState()
			receipt.TLS, receipt.Identity = true, presented(&state)
		}
		a.lines(bufio.NewReaderSize(s, attacker.LineLimit), func(nonce string) error {
			receipt.Nonce = nonce
			a.receipts.write(receipt)
			_, err := io.WriteString(s, a.line(nonce))
			return err
		})
	})
}

func addrPort(s string) netip.AddrPort {
	p, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
