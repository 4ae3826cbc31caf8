package istio

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// What istiod logs about leaves, one line each: time, level, scope and text,
// separated by tabs. Fields such as the client's address come last.
const (
	saidRefused = "Failed to authenticate client from "
	saidSigned  = "CSR successfully signed, sans ["
	saidFailed  = "CSR signing error: "
	saidNode    = "impersonation "
	fieldClient = "client="
)

// rawLimit is how much of a line is kept, in bytes.
const rawLimit = 400

// parseIssuance reads a line of istiod's log. It returns false for a line that is
// not about a leaf. A refusal's reason is istiod's text without the parts that
// vary: names, ids and times.
func parseIssuance(line []byte, seen time.Time) (signals.Record, bool, error) {
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

// unproven returns the reason of the last authenticator, which reads tokens. If it
// gave several reasons, the last one counts: it comes from the token itself.
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

// varying matches the parts that change from one refusal to the next.
var varying = regexp.MustCompile(`\s*(\[[^\]]*\]|\([^)]*\)|"[^"]*"|\b\d+h\d+m\d+s\b|spiffe://[^\s,]+)`)

func constant(text string) string { return strings.TrimSpace(varying.ReplaceAllString(text, "")) }

// parsePlatform reads an event of the API's audit log: a request for a token, an
// object that an account submitted, or a read by an account.
func parsePlatform(line []byte, seen time.Time) (signals.Record, bool, error) {
	for _, parse := range []func([]byte, time.Time) (signals.Record, bool, error){
		kubeapi.TokenCreation, kubeapi.Submission, kubeapi.Reading,
	} {
		if r, ok, err := parse(line, seen); ok || err != nil {
			return r, ok, err
		}
	}
	return signals.Record{}, false, nil
}

// saidUnfetched begins the line that istiod logs when it could not fetch keys. The
// configured address, quoted, and the reason follow.
const saidUnfetched = "Failed to fetch public key from jwks URI "

// saidBlocked matches the reason when istiod itself refused to fetch. It matches
// the end of the line. The server's answer cannot forge it: answers are quoted.
var saidBlocked = regexp.MustCompile(`: dial tcp \S+: connection to \S+ \(resolved IP \S+\) blocked: (.+) [0-9a-f.:]+/\d+$`)

// parseFetches reads a line of istiod's log. It returns false for a line that is
// not about an address of keys. Only a fetch that istiod itself blocked counts as
// refused. A missing answer, or an answer without keys, does not.
func parseFetches(line []byte, seen time.Time) (signals.Record, bool, error) {
	parts := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
	text, found := strings.CutPrefix(parts[len(parts)-1], saidUnfetched)
	if !found || len(parts) < 3 {
		return signals.Record{}, false, nil
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil {
		return signals.Record{}, false, err
	}
	address, err := strconv.Unquote(quoted)
	if err != nil {
		return signals.Record{}, false, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return signals.Record{}, false, err
	}
	s := signals.Signal{
		Seen: seen, Workload: signals.FromAuthority, Inbound: true, Layer: "tcp", Nonce: u.Query().Get("nonce"), Path: u.Path,
		Raw: text[:min(len(text), rawLimit)],
	}
	why := text[len(quoted):]
	if m := saidBlocked.FindStringSubmatch(why); m != nil {
		s.Refused, s.Reason = true, m[1]
	} else {
		s.Reason = strings.TrimSpace(why[strings.LastIndex(why, ":")+1:])
	}
	s.At, err = time.Parse(time.RFC3339Nano, parts[0])
	return signals.Record{Signal: s}, err == nil, err
}

// What istiod logs about refused debug and xDS requests.
const (
	saidUnproven = "Failed to authenticate /debug/"
	saidDebug    = "Unauthorized debug request from ["
	saidXDS      = "Unauthorized XDS: "
)

// parseEndpoints reads a line of istiod's log. It returns false for a line that is
// not about a request to one of istiod's own endpoints. A line about a debug path
// has no address: it is found by the nonce in the query or, if it has no query, by
// the identity and the path.
func parseEndpoints(line []byte, seen time.Time) (signals.Record, bool, error) {
	parts := strings.Split(strings.TrimRight(string(line), "\n"), "\t")
	if len(parts) < 3 {
		return signals.Record{}, false, nil
	}
	text := parts[len(parts)-1]
	s := signals.Signal{
		Seen: seen, Workload: signals.FromAuthority, Inbound: true, Refused: true,
		Raw: text[:min(len(text), rawLimit)],
	}
	var source netip.AddrPort
	var err error
	switch {
	case strings.HasPrefix(text, saidUnproven):
		url, why, _ := strings.Cut(strings.TrimPrefix(text, "Failed to authenticate "), " ")
		path, query, _ := strings.Cut(url, "?")
		s.Layer, s.Path, s.Status, s.Reason = "http", path, 401, unprovenDebug(why)
		_, s.Nonce, _ = strings.Cut(query, "nonce=")
	case strings.HasPrefix(text, saidDebug):
		ids, path, _ := strings.Cut(strings.TrimPrefix(text, saidDebug), "] to ")
		s.Layer, s.Path, s.Status, s.Reason = "http", path, 403, "Unauthorized debug request"
		s.Identity = strings.Fields(ids)
		s.Nonce = ids + " " + path
	case strings.HasPrefix(text, saidXDS):
		client, why, _ := strings.Cut(strings.TrimPrefix(text, saidXDS), " with identity ")
		ids, why, _ := strings.Cut(why, ": ")
		why, _, _ = strings.Cut(why, " matched ")
		s.Layer, s.Reason = "grpc", saidXDS+constant(why)+" matched"
		s.Identity = strings.Fields(strings.Trim(ids, "[]"))
		if source, err = netip.ParseAddrPort(client); err != nil {
			return signals.Record{}, false, err
		}
	case strings.HasPrefix(text, "ADS: new ") && strings.Contains(text, saidNew):
		_, proxy, _ := strings.Cut(text, saidNew)
		s.Refused, s.Layer, s.Nonce = false, "grpc", nodeLogKey(proxy[:max(0, strings.LastIndex(proxy, "-"))])
	default:
		return signals.Record{}, false, nil
	}
	s.At, err = time.Parse(time.RFC3339Nano, parts[0])
	return signals.Record{Signal: s, Source: source}, err == nil, err
}

// unprovenDebug returns the reason of the last authenticator, which reads tokens.
func unprovenDebug(why string) string {
	i := strings.LastIndex(why, "Authenticator ")
	if i < 0 {
		return constant(why)
	}
	_, why, _ = strings.Cut(why[i:], ": ")
	return constant(strings.TrimSuffix(why, "]"))
}
