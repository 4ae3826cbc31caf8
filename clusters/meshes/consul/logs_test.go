package consul

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

const lineFailed = "2026-11-22T16:02:09.136+00:00\tdebug\tconnection\t[Tags: \"ConnectionId\":\"12\"] remote address:10.77.2.13:36540," +
	"TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"

func TestAFailedHandshakeIsReadFromTheProxysOwnLog(t *testing.T) {
	r, ok := failedHandshake("bank", []byte(lineFailed), time.Now())
	g := r.Signal
	if !ok || r.Source != netip.MustParseAddrPort("10.77.2.13:36540") || !g.Refused || !g.Inbound || g.Layer != "tls" ||
		g.Reason != "tls:WRONG_VERSION_NUMBER" || g.Workload != "bank" || g.At.Format(time.RFC3339Nano) != "2026-11-22T16:02:09.136Z" {
		t.Errorf("%+v", r)
	}
	for _, other := range []string{
		"",
		strings.Replace(lineFailed, "13:36540", "13:20000", 1), // what it dialled itself
		strings.Replace(lineFailed, "connection\t", "pool\t", 1),
		strings.Replace(lineFailed, "TLS_error:", "closing", 1),
		strings.Replace(lineFailed, "10.77.2.13:36540", "nowhere", 1),
		"2026-11-22T16:02:09.136+00:00\tdebug\tconnection\tclosing data_to_write=0 type=1",
	} {
		if r, ok := failedHandshake("bank", []byte(other), time.Now()); ok {
			t.Errorf("%q gave %+v", other, r)
		}
	}
}

func FuzzALineOfTheProxysLogIsReadOrLeft(f *testing.F) {
	f.Add(lineFailed)
	f.Fuzz(func(t *testing.T, line string) {
		if r, ok := failedHandshake("bank", []byte(line), time.Now()); ok && (!r.Source.IsValid() || r.Signal.Reason == "") {
			t.Errorf("%+v", r)
		}
	})
}

func TestALineThatIsTooLongIsDroppedAndTheNextIsRead(t *testing.T) {
	in := strings.Repeat("x", 2*programs.LongestLine) + "\nnext\nlast without an end"
	var got []string
	eachLine(strings.NewReader(in), func(line []byte) { got = append(got, string(bytes.Clone(line))) })
	if len(got) != 1 || got[0] != "next" {
		t.Errorf("%d lines: %.60q", len(got), got)
	}
}
