package istio

import (
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/signals"
)

// What istiod writes about leaves, one line each: when, how bad, the scope and
// the text, apart by tabs; fields such as the client's address come last.
const (
	saidRefused = "Failed to authenticate client from "
	saidSigned  = "CSR successfully signed, sans ["
	saidFailed  = "CSR signing error: "
	saidNode    = "impersonation "
	fieldClient = "client="
)

// rawLimit bounds what is kept of a line.
const rawLimit = 400

// parseAuthority reads a line of istiod's log; false for one that says nothing
// about a leaf. A refusal's reason is istiod's text without what changes from
// one to the next: names, ids and times.
func parseAuthority(line []byte, seen time.Time) (signals.Record, bool, error) {
	parts := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
	if len(parts) < 4 {
		return signals.Record{}, false, nil
	}
	text := parts[3]
	s := signals.Signal{
		Seen: seen, Workload: signals.FromAuthority, Inbound: true, Layer: signals.LayerCA,
		Raw: text[:min(len(text), rawLimit)],
	}
	client := ""
	if last := parts[len(parts)-1]; len(parts) > 4 && strings.HasPrefix(last, fieldClient) {
		client = strings.TrimPrefix(last, fieldClient)
	}
	switch {
	case strings.HasPrefix(text, saidRefused):
		from, why, _ := strings.Cut(strings.TrimPrefix(text, saidRefused), ": ")
		client, s.Refused, s.Reason = from, true, unproven(why)
	case strings.HasPrefix(text, saidSigned):
		list, _, _ := strings.Cut(strings.TrimPrefix(text, saidSigned), "]")
		s.Identity = strings.Fields(list)
	case strings.HasPrefix(text, saidFailed):
		s.Refused, s.Reason = true, constant(strings.TrimPrefix(text, saidFailed))
	case strings.HasPrefix(text, saidNode):
		s.Refused, s.Reason = true, constant(text)
	default:
		return signals.Record{}, false, nil
	}
	at, err := time.Parse(time.RFC3339Nano, parts[0])
	if err != nil {
		return signals.Record{}, false, err
	}
	source, err := netip.ParseAddrPort(client)
	if err != nil {
		return signals.Record{}, false, err
	}
	s.At = at
	return signals.Record{Signal: s, Source: source}, true, nil
}

// unproven is what the last of the authenticators said, who reads tokens:
// where it had several reasons, the last, which comes from the token itself.
func unproven(why string) string {
	if i := strings.LastIndex(why, "; Authenticator "); i >= 0 {
		_, why, _ = strings.Cut(why[i+len("; Authenticator "):], ": ")
	}
	const list = "returns an error: ["
	if i := strings.Index(why, list); i >= 0 {
		why = strings.TrimSuffix(why[i+len(list):], "]")
		why = strings.TrimPrefix(why, "invalid bearer token, ")
	}
	return constant(why)
}

// varying is what changes from one refusal to the next.
var varying = regexp.MustCompile(`\s*(\[[^\]]*\]|\([^)]*\)|"[^"]*"|\b\d+h\d+m\d+s\b|spiffe://[^\s,]+)`)

func constant(text string) string { return strings.TrimSpace(varying.ReplaceAllString(text, "")) }
