package local

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// stream is our end of a probe's standard input and output. It ends when the
// probe ends.
type stream struct {
	r, w   *os.File
	closer sync.Once
	err    error
}

// newStream returns our end and the probe's standard input and output.
func newStream() (ours *stream, stdin, stdout *os.File, err error) {
	stdin, w, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a stream: %w", err)
	}
	r, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("make a stream: %w", err), stdin.Close(), w.Close())
	}
	return &stream{r: r, w: w}, stdin, stdout, nil
}

func (s *stream) Read(b []byte) (int, error)  { return s.r.Read(b) }
func (s *stream) Write(b []byte) (int, error) { return s.w.Write(b) }

// Close ends the stream; the probe sees the end of its input.
func (s *stream) Close() error {
	s.closer.Do(func() { s.err = errors.Join(s.w.Close(), s.r.Close()) })
	return s.err
}
