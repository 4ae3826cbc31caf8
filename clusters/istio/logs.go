package istio

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/meshbreach/meshbreach/clusters/evidence"
)

// followEvery is the time between two looks at the logs. Envoy flushes them as
// often.
const followEvery = 10 * time.Millisecond

// follow reads all access logs of the range until the context ends.
func (st *stage) follow(ctx context.Context) {
	var logs []*log
	for _, s := range st.sidecars {
		proxy := evidence.Proxy{Workload: s.workload.Name, Address: s.workload.Address}
		logs = append(logs, &log{path: s.file(fileAccess), proxy: proxy}, &log{path: s.file(fileListener), proxy: proxy, listener: true})
	}
	for pause(ctx, followEvery) {
		for _, l := range logs {
			l.read(st.store)
		}
	}
	for _, l := range logs {
		if l.file != nil {
			_ = l.file.Close() // it was only read
		}
	}
}

// log is an access log that grows.
type log struct {
	path     string
	proxy    evidence.Proxy
	listener bool // of connections: what was passed on is in the other log

	file    *os.File
	reader  *bufio.Reader
	partial []byte
}

// read takes in the lines that are new. A line that is no record is left out:
// whoever waits for what it said runs out of time, and nothing is concluded.
func (l *log) read(into *evidence.Store) {
	if l.file == nil {
		var err error
		if l.file, err = os.Open(l.path); err != nil {
			l.file = nil
			return
		}
		l.reader = bufio.NewReaderSize(l.file, 64<<10)
	}
	for {
		piece, err := l.reader.ReadSlice('\n')
		l.partial = append(l.partial, piece...)
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(l.partial) > evidence.LongestLine {
				l.partial = l.partial[:0]
			}
			continue
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = l.file.Close()
				l.file = nil
			}
			return
		}
		r, ok, err := l.proxy.ParseAccessLog(l.partial, time.Now())
		l.partial = l.partial[:0]
		if err == nil && ok && (!l.listener || r.Signal.Refused) {
			into.Add(r)
		}
	}
}
