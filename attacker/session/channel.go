package session

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creachadair/jrpc2"
)

// errTooLong ends a session: what follows an oversized message cannot be found.
var errTooLong = fmt.Errorf("message of more than %d bytes", maxMessage)

// maxUnsent bounds what is queued for a peer that does not read, in bytes.
const maxUnsent = 4 * maxMessage

// channel is channel.Line of jrpc2 with three differences: messages are
// bounded, Send never waits for the peer (a hung probe must not hold up the
// calls' own deadlines, and a hung harness not the probe's), and it knows when
// the peer was heard last.
type channel struct {
	stream io.ReadWriteCloser
	reader *bufio.Reader
	heard  atomic.Int64 // Unix nanoseconds

	mu     sync.Mutex
	unsent [][]byte
	size   int
	err    error
	more   *sync.Cond
	done   chan struct{} // closed when the writer has ended
}

func newChannel(stream io.ReadWriteCloser) *channel {
	c := &channel{stream: stream, reader: bufio.NewReaderSize(stream, 64<<10), done: make(chan struct{})}
	c.more = sync.NewCond(&c.mu)
	c.heard.Store(time.Now().UnixNano())
	go c.write()
	return c
}

// Send queues one message.
func (c *channel) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if len(message) > maxMessage {
		return errTooLong
	}
	if c.size+len(message) > maxUnsent {
		// Nothing may get lost in the middle, so this is the end.
		c.err = errors.New("the other end of the session does not read")
		c.more.Broadcast()
		return errors.Join(c.err, c.stream.Close())
	}
	c.unsent = append(c.unsent, append(bytes.Clone(message), '\n'))
	c.size += len(message) + 1
	c.more.Signal()
	return nil
}

// write sends what is queued until the channel is closed.
func (c *channel) write() {
	defer close(c.done)
	for {
		c.mu.Lock()
		for len(c.unsent) == 0 && c.err == nil {
			c.more.Wait()
		}
		if c.err != nil {
			c.mu.Unlock()
			return
		}
		batch := bytes.Join(c.unsent, nil)
		c.unsent = nil
		c.mu.Unlock()
		_, err := c.stream.Write(batch)
		c.mu.Lock()
		c.size -= len(batch)
		if err != nil && c.err == nil {
			c.err = err
		}
		c.mu.Unlock()
	}
}

// Recv reads one message.
func (c *channel) Recv() ([]byte, error) {
	var message []byte
	for {
		part, err := c.reader.ReadSlice('\n')
		message = append(message, part...)
		switch {
		case len(message) > maxMessage:
			return nil, errTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err // a message that was cut off is none
		}
		c.heard.Store(time.Now().UnixNano())
		if message = bytes.TrimSpace(message); len(message) > 0 {
			return message, nil
		}
	}
}

// strict is the probe's end of a channel. jrpc2 answers a malformed message
// without an id, and when the stream ends before it came to that, it answers
// on a channel that is gone and panics (v1.3.6). So such a message is the end
// of the session; a harness sends none.
type strict struct{ *channel }

// Recv reads one message that is JSON-RPC.
func (s strict) Recv() ([]byte, error) {
	message, err := s.channel.Recv()
	if err != nil {
		return nil, err
	}
	requests, err := jrpc2.ParseRequests(message)
	if err != nil {
		return nil, fmt.Errorf("a message is not JSON-RPC: %w", err)
	}
	for _, r := range requests {
		if r.Error != nil || r.Method == "" {
			return nil, errors.New("a message is not a JSON-RPC request")
		}
	}
	return message, nil
}

// silent says for how long nothing has come from the peer.
func (c *channel) silent() time.Duration {
	return time.Since(time.Unix(0, c.heard.Load()))
}

// Close ends the stream.
func (c *channel) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = io.ErrClosedPipe
	}
	c.more.Broadcast()
	c.mu.Unlock()
	return c.stream.Close()
}
