package istio

import (
	"context"
	"time"

	"github.com/meshbreach/meshbreach/clusters/evidence"
)

// followEvery is the time between two looks at the logs. Envoy flushes them as
// often.
const followEvery = 10 * time.Millisecond

// follow reads all access logs of the range until the context ends.
func (st *stage) follow(ctx context.Context) {
	logs := []*log{
		{evidence.Tail{Path: st.pilotLog()}, parseAuthority},
		{evidence.Tail{Path: st.in.api.AuditLog()}, parseAudit},
	}
	for _, s := range st.sidecars {
		proxy := evidence.Proxy{Workload: s.workload.Name, Address: s.workload.Address}
		logs = append(logs,
			&log{evidence.Tail{Path: s.file(fileAccess)}, proxy.ParseAccessLog},
			&log{evidence.Tail{Path: s.file(fileListener)}, refusals(proxy)})
	}
	for pause(ctx, followEvery) {
		for _, l := range logs {
			l.read(st.store)
		}
	}
	for _, l := range logs {
		l.tail.Close()
	}
}

// log is a log that grows.
type log struct {
	tail  evidence.Tail
	parse func(line []byte, seen time.Time) (evidence.Record, bool, error)
}

// read takes in the lines that are new. A line that is no record is left out:
// whoever waits for what it said runs out of time, and nothing is concluded.
func (l *log) read(into *evidence.Store) {
	l.tail.Read(func(line []byte) {
		if r, ok, err := l.parse(line, time.Now()); err == nil && ok {
			into.Add(r)
		}
	})
}

// refusals leaves out what was passed on: it is in the other log of a proxy.
func refusals(p evidence.Proxy) func([]byte, time.Time) (evidence.Record, bool, error) {
	return func(line []byte, seen time.Time) (evidence.Record, bool, error) {
		r, ok, err := p.ParseAccessLog(line, seen)
		return r, ok && r.Signal.Refused, err
	}
}
