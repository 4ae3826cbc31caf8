package consul

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// eachLine reads until the pipe is closed. A line that is too long is dropped.
func eachLine(r io.Reader, take func(line []byte)) {
	in := bufio.NewReaderSize(r, 64<<10)
	var line []byte
	tooLong := false
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > programs.LongestLine {
			tooLong = true
		} else {
			line = append(line, part...)
		}
		switch {
		case err == nil:
			if !tooLong {
				take(bytes.TrimSuffix(line, []byte("\n")))
			}
			line, tooLong = line[:0], false
		case !errors.Is(err, bufio.ErrBufferFull):
			return
		}
	}
}

// logFormat is what proxyLog reads: time, level, logger, text on one line.
const logFormat = "%Y-%m-%dT%T.%e%z\t%l\t%n\t%_"

// failedHandshake reads a line of a proxy's own log. Consul's listener log has
// nothing but connections that no chain fits, so the reason of a handshake that
// failed is in this log alone; it has the peer's address and port.
func failedHandshake(workload string, line []byte, seen time.Time) (signals.Record, bool) {
	stamp, rest, _ := strings.Cut(string(line), "\t")
	_, rest, _ = strings.Cut(rest, "\t")
	logger, text, ok := strings.Cut(rest, "\t")
	if !ok || logger != "connection" {
		return signals.Record{}, false
	}
	_, text, ok = strings.Cut(text, "remote address:")
	if !ok {
		return signals.Record{}, false
	}
	address, said, ok := strings.Cut(text, ",")
	from, err := netip.ParseAddrPort(address)
	// What the proxy itself dialled is told by its access log.
	if !ok || err != nil || !strings.HasPrefix(said, "TLS_error") || from.Port() == portPublic {
		return signals.Record{}, false
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z07:00", stamp)
	if err != nil {
		at = seen
	}
	return signals.Record{
		Source: from,
		Signal: signals.Signal{
			At: at, Seen: seen, Workload: workload, Inbound: true, Layer: "tls", Refused: true,
			Reason: proxy.TLSReason(said), Raw: "transport=" + said[:min(len(said), 200)],
		},
	}, true
}

// journalLimit bounds what is kept of a proxy's own log.
const journalLimit = 1 << 20

// journal keeps what a proxy says but for the noise of connections.
type journal struct {
	file *os.File
	size int
}

func (j *journal) note(line []byte) {
	if bytes.Contains(line, []byte("\tdebug\t")) || j.size+len(line) > journalLimit {
		return
	}
	n, _ := j.file.Write(append(line, '\n')) // a log that cannot be written stops nothing
	j.size += n
}
