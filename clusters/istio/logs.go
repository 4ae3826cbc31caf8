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
	logs = append(logs,
		&log{path: st.pilotLog(), parse: parseAuthority, turns: true}, &log{path: st.in.api.AuditLog(), parse: parseAudit})
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
	listener bool                                                             // of connections: what was passed on is in the other log
	turns    bool                                                             // a full file is moved away, and another begun
	parse    func(line []byte, seen time.Time) (evidence.Record, bool, error) // the proxy's when nil

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
			if !errors.Is(err, io.EOF) || l.turned() {
				_ = l.file.Close()
				l.file = nil
			}
			return
		}
		parse := l.proxy.ParseAccessLog
		if l.parse != nil {
			parse = l.parse
		}
		r, ok, err := parse(l.partial, time.Now())
		l.partial = l.partial[:0]
		if err == nil && ok && (!l.listener || r.Signal.Refused) {
			into.Add(r)
		}
	}
}

// turned says whether the file that is read was moved away. It was read to its
// end: nothing is written to it any more.
func (l *log) turned() bool {
	if !l.turns {
		return false
	}
	now, err := os.Stat(l.path)
	if err != nil {
		return false
	}
	was, err := l.file.Stat()
	return err == nil && !os.SameFile(was, now)
}
