package attacker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// sayLine requests with a line on a TCP connection. A Body goes before it.
func (l *link) sayLine(ctx context.Context, k Request, o *Observation) error {
	release := l.guard(ctx)
	defer release()
	return converse(l.conn, l.reader, k.Body, k.Nonce, o)
}

// stream is an open http2-stream: a request whose body is our lines and a
// reply whose body is the answers.
type stream struct {
	lines   io.Writer
	answers *bufio.Reader
	cancel  context.CancelFunc
}

// sayOnStream opens the stream with the first request. A refusal of the request
// itself is an ordinary HTTP refusal.
func (l *link) sayOnStream(ctx context.Context, k Request, o *Observation) error {
	if l.lines == nil {
		s, err := l.openStream(ctx, k, o)
		if err != nil || s == nil {
			return err
		}
		l.lines = s
	}
	defer context.AfterFunc(ctx, l.lines.cancel)()
	o.Seen = Handshake
	if !l.secure {
		o.Seen = Transport
	}
	err := converse(l.lines.lines, l.lines.answers, "", k.Nonce, o)
	if err != nil {
		l.lines.cancel()
		return l.explain(ctx, err)
	}
	return nil
}

// openStream is nil without an error when the answer was a refusal, which the
// observation then has.
func (l *link) openStream(ctx context.Context, k Request, o *Observation) (*stream, error) {
	// The stream outlives the request that opens it.
	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	body, lines := io.Pipe()
	req := request(long, k, body, -1)
	req.Method = orElse(k.Method, http.MethodPost)
	req.Header[HeaderStream] = []string{"1"}
	resp, err := l.roundTrip(ctx, req)
	stop()
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// The stream's own context ends the reading of an endless refusal.
		defer context.AfterFunc(ctx, cancel)()
		answer(o, resp)
		cancel()
		return nil, nil
	}
	return &stream{lines: lines, answers: bufio.NewReader(resp.Body), cancel: cancel}, nil
}

// converse says one line and reads its answer. The answer is read even when
// the line could not be written: it may say why.
func converse(w io.Writer, r *bufio.Reader, before, nonce string, o *Observation) error {
	_, wrote := fmt.Fprintf(w, "%s%s %s\n", before, LineNonce, nonce)
	for {
		line, err := readLine(r)
		if err != nil {
			return telling(err, wrote)
		}
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == LineOK {
			if words[2] != nonce {
				continue // a late answer to an earlier request
			}
			o.Seen, o.Reply = Replied, &Reply{Body: line, By: clip(words[1])}
			return nil
		}
		strange(line, words, o)
		return nil
	}
}

// strange is an answer that none of our targets gives. A server of HTTP
// refuses our line in its own way.
func strange(line string, words []string, o *Observation) {
	o.Seen = Replied
	if len(words) >= 2 && strings.HasPrefix(words[0], "HTTP/1.") {
		if code, err := strconv.Atoi(words[1]); err == nil {
			o.Refusal = &Refusal{Layer: LayerHTTP, Code: code, Text: line}
			return
		}
	}
	if n, ok := plainAlert(line); ok {
		o.Refusal = &Refusal{Layer: LayerTLS, Code: int(n), Text: alertName(n)}
		return
	}
	o.Reply = &Reply{Body: line}
}

// plainAlert is the alert of a TLS server to a caller that spoke none: a record
// of type 21 and major version 3 with two bytes, the level and the alert. An
// alert that is a line feed ended the line.
func plainAlert(line string) (uint8, bool) {
	if len(line) < 6 || len(line) > 7 || line[0] != 21 || line[1] != 3 || line[3] != 0 || line[4] != 2 {
		return 0, false
	}
	if len(line) == 6 {
		return '\n', true
	}
	return line[6], true
}

func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < LineLimit {
		c, err := r.ReadByte()
		if err != nil {
			if len(line) > 0 && err == io.EOF {
				break
			}
			return "", err
		}
		if c == '\n' {
			break
		}
		line = append(line, c)
	}
	return string(bytes.ToValidUTF8(bytes.TrimRight(line, "\r"), []byte("\ufffd"))), nil
}
