package consul

import (
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/signals"
)

// The paths by which leaves are asked for.
const (
	pathLogin = "/v1/acl/login"
	pathLeaf  = "/v1/agent/connect/ca/leaf/"
)

// rawLimit bounds what is kept of a line.
const rawLimit = 400

// authorityLog reads the server's own log.
type authorityLog struct {
	trustDomain string
	refused     map[string]bool // callers whose request failed and is not finished yet
}

// spoken is a line about a request: when, of what kind, and the fields after it.
var spoken = regexp.MustCompile(`^(\S+) \[\w+\]\s+agent\.http: Request (error|finished): method=\w+ url=(\S+) from=(\S+)(?: error="?(.*?)"?| latency=\S+)$`)

// parse reads a line; false for one that says nothing about a leaf. Every
// request is finished in the end, also one that was refused.
func (l *authorityLog) parse(line []byte, seen time.Time) (signals.Record, bool, error) {
	m := spoken.FindSubmatch(line)
	if m == nil {
		return signals.Record{}, false, nil
	}
	kind, url, from, why := string(m[2]), string(m[3]), string(m[4]), string(m[5])
	if url != pathLogin && !strings.HasPrefix(url, pathLeaf) {
		return signals.Record{}, false, nil
	}
	source, err := netip.ParseAddrPort(from)
	if err != nil {
		return signals.Record{}, false, err
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z0700", string(m[1]))
	if err != nil {
		return signals.Record{}, false, err
	}
	s := signals.Signal{
		At: at, Seen: seen, Workload: signals.FromAuthority, Inbound: true, Layer: signals.LayerCA, Path: url,
		Raw: string(line[:min(len(line), rawLimit)]),
	}
	switch {
	case kind == "error":
		l.refused[from] = true
		s.Refused, s.Reason = true, constant(why)
	case l.refused[from]:
		delete(l.refused, from)
		return signals.Record{}, false, nil
	case url == pathLogin:
		return signals.Record{}, false, nil
	default:
		s.Identity = []string{"spiffe://" + l.trustDomain + "/ns/default/dc/" + datacenter + "/svc/" + strings.TrimPrefix(url, pathLeaf)}
	}
	return signals.Record{Signal: s, Source: source}, true, nil
}

// varying is what changes from one refusal to the next: ids, names and times.
var varying = regexp.MustCompile(`\s*(\[[^\]]*\]|\([^)]*\)|\\?"[^"\\]*\\?"|token with AccessorID '[^']*'|[0-9a-f]{8}-[0-9a-f-]{27})`)

// reviewed is what a review of a token said, in the list that it is said in.
var reviewed = regexp.MustCompile(`^(lookup failed: )\[(.*)\]$`)

func constant(text string) string {
	text = reviewed.ReplaceAllString(text, "$1$2")
	return strings.TrimSpace(varying.ReplaceAllString(text, ""))
}
