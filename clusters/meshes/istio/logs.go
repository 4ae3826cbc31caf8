package istio

import (
	"context"
	"encoding/json"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// followEvery is the time between two looks at a log on this machine. Envoy
// flushes them as often.
const followEvery = 10 * time.Millisecond

// follow reads all logs of the range until the context ends.
func (st *stage) follow(ctx context.Context) {
	st.ended.Go(func() { st.runtime.follow(ctx, st.store) })
	st.ended.Go(func() {
		st.pilot.follow(ctx, func(line []byte) {
			note(st.store, parseIssuance, line)
			note(st.store, parseEndpoints, line)
			note(st.store, parseFetches, line)
		})
	})
	for _, s := range st.sidecars {
		st.ended.Go(func() { s.instance.follow(ctx, st.store) })
	}
}

// A parser reads a line that was seen at a time; false for one that says
// nothing of its own.
type parser func(line []byte, seen time.Time) (signals.Record, bool, error)

// note takes in a line. One that is no record is left out: whoever waits for
// what it said runs out of time, and nothing is concluded.
func note(into *signals.Store, parse parser, line []byte) {
	if r, ok, err := parse(line, time.Now()); err == nil && ok {
		into.Add(r)
	}
}

// log is a log that grows.
type log struct {
	tail  programs.Tail
	parse parser
}

// tail reads files until the context ends.
func tail(ctx context.Context, into *signals.Store, logs ...*log) {
	for clusters.Pause(ctx, followEvery) {
		for _, l := range logs {
			l.tail.Read(func(line []byte) { note(into, l.parse, line) })
		}
	}
	for _, l := range logs {
		l.tail.Close()
	}
}

// refusals leaves out what was passed on: it is in the other log of a proxy.
func refusals(p proxy.Log) parser {
	return func(line []byte, seen time.Time) (signals.Record, bool, error) {
		r, ok, err := p.ParseAccessLog(line, seen)
		return r, ok && r.Signal.Refused, err
	}
}

// The values of the field that says which log of a proxy a line is of.
const (
	fieldLog    = "log"
	logAccess   = "access"
	logListener = "listener"
)

// logFormat is what a proxy writes into one of its logs.
func logFormat(which string) map[string]string {
	f := proxy.LogFormat(true)
	f[fieldLog] = which
	return f
}

// either reads both logs of a proxy where they are one.
func either(p proxy.Log) parser {
	return func(line []byte, seen time.Time) (signals.Record, bool, error) {
		var which struct{ Log string }
		if len(line) == 0 || line[0] != '{' {
			return signals.Record{}, false, nil // the agent's words
		}
		if err := json.Unmarshal(line, &which); err != nil {
			return signals.Record{}, false, err
		}
		switch which.Log {
		case logAccess:
			return p.ParseAccessLog(line, seen)
		case logListener:
			return refusals(p)(line, seen)
		}
		return signals.Record{}, false, nil
	}
}
