package local

import (
	"os"
	"path/filepath"
)

// journalLimit bounds one file of a log. Scratch is memory.
const journalLimit = 4 << 20

// journal is a log file that keeps the last journalLimit bytes at least and
// twice that at most: a full file moves to name.old.
type journal struct {
	file *os.File
	size int
}

func newJournal(path string) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	// Appending: a proxy that is started again goes on in the same log.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: file}, nil
}

// Write never fails: a full disk must not stop the program that logs.
func (j *journal) Write(b []byte) (int, error) {
	if j.size+len(b) > journalLimit {
		j.turn()
	}
	n, _ := j.file.Write(b)
	j.size += n
	return len(b), nil
}

func (j *journal) turn() {
	path := j.file.Name()
	if err := os.Rename(path, path+".old"); err != nil {
		return
	}
	next, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_ = j.file.Close() // it was only moved; nothing waits to be written
	j.file, j.size = next, 0
}

func (j *journal) Close() error { return j.file.Close() }
