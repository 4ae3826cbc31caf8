package programs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
)

// LongestLine bounds a line of a program's log, in bytes. A proxy writes down
// paths, which are the attacker's and as long as the proxy lets them be.
const LongestLine = 256 << 10

// A Tail reads a log that grows. The zero value with a Path works.
type Tail struct {
	Path string

	file    *os.File
	reader  *bufio.Reader
	partial []byte
	tooLong bool
}

// Read gives the lines that are new, without their ends, and returns when there
// are no more. A line longer than LongestLine is left out. When the file was
// moved away it is read to its end, and then the one in its place.
func (t *Tail) Read(take func(line []byte)) {
	for t.open() {
		piece, err := t.reader.ReadSlice('\n')
		if len(t.partial)+len(piece) > LongestLine {
			t.tooLong, t.partial = true, t.partial[:0]
		} else {
			t.partial = append(t.partial, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			if !t.tooLong {
				take(bytes.TrimSuffix(t.partial, []byte("\n")))
			}
			t.partial, t.tooLong = t.partial[:0], false
		case !errors.Is(err, io.EOF) || t.moved():
			t.Close()
		default:
			return
		}
	}
}

// open says whether there is a file to read.
func (t *Tail) open() bool {
	if t.file != nil {
		return true
	}
	file, err := os.Open(t.Path)
	if err != nil {
		return false // it is not there yet
	}
	t.file, t.reader, t.partial, t.tooLong = file, bufio.NewReaderSize(file, 64<<10), t.partial[:0], false
	return true
}

// moved says whether another file is where the one that is read was.
func (t *Tail) moved() bool {
	now, err := os.Stat(t.Path)
	if err != nil {
		return false
	}
	was, err := t.file.Stat()
	return err == nil && !os.SameFile(was, now)
}

// Close ends the reading; a Read after it begins anew.
func (t *Tail) Close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
		t.file = nil
	}
}
