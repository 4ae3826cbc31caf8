package istio

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func TestWhatIstiodSaysOfAddressesIsRead(t *testing.T) {
	const begin = "2026-11-28T06:41:13.418599Z\terror\tmodel\tFailed to fetch public key from jwks URI "
	for name, c := range map[string]struct {
		line, nonce, path, reason string
		refused                   bool
	}{
		"blocked": {
			`"http://10.77.1.15:8080/v1/keys?nonce=n-1": Get "http://10.77.1.15:8080/v1/keys?nonce=n-1": dial tcp 10.77.1.15:8080: connection to 10.77.1.15:8080 (resolved IP 10.77.1.15) blocked: IP is in blocked CIDR range 10.0.0.0/8`,
			"n-1", "/v1/keys", "IP is in blocked CIDR range", true,
		},
		"blocked after a redirection": {
			`"http://10.77.1.11:8081/v1/redirect?nonce=n-2&to=http%3A%2F%2F10.77.1.15%3A8080%2F%3Fnonce%3Dx": Get "http://10.77.1.15:8080/?nonce=x": dial tcp [fd00::1]:8080: connection to [fd00::1]:8080 (resolved IP fd00::1) blocked: IP is in blocked CIDR range fc00::/7`,
			"n-2", "/v1/redirect", "IP is in blocked CIDR range", true,
		},
		"nobody there": {
			`"http://127.0.0.1:8080/?nonce=n-3": Get "http://127.0.0.1:8080/?nonce=n-3": dial tcp 127.0.0.1:8080: connect: connection refused`,
			"n-3", "/", "connection refused", false,
		},
		"an answer that words it alike": {
			`"http://10.77.1.11/?nonce=n-4": status 403, message "no"`,
			"n-4", "/", `status 403, message "no"`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, ok, err := parseFetches([]byte(begin+c.line+"\n"), time.Time{})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			s := r.Signal
			if s.Workload != signals.FromAuthority || s.Layer != "tcp" || s.Nonce != c.nonce || s.Path != c.path || s.Reason != c.reason || s.Refused != c.refused || s.At.IsZero() {
				t.Errorf("%+v", s)
			}
		})
	}
	for _, line := range []string{
		"", "x", "a\tb\tc\tsomething else", begin + "unquoted", begin + `"http://[::": no`, strings.Replace(begin, "2026", "never", 1) + `"http://a/": no`,
		"2026-11-28T06:41:13.418599Z\twarn\tmodel\tFailed to GET from \"http://a/?nonce=n\": no. Retry in 1s",
	} {
		if _, ok, err := parseFetches([]byte(line), time.Time{}); ok && err == nil {
			t.Errorf("%q is read", line)
		}
	}
}

// A peer that istiod does reach words its own answer, and must not be able to
// word a refusal of istiod's.
func TestAnAnswerIsNoRefusalOfIstiods(t *testing.T) {
	const line = "2026-11-28T06:41:13.418599Z\terror\tmodel\t" + saidUnfetched +
		`"http://a/?nonce=n": status 403, message "connection to a (resolved IP 10.0.0.1) blocked: IP is in blocked CIDR range 10.0.0.0/8"`
	r, ok, err := parseFetches([]byte(line), time.Time{})
	if err != nil || !ok || r.Signal.Refused {
		t.Errorf("%v %v %+v", ok, err, r.Signal)
	}
}

func TestNothingPrivateIsFetchedFromButTheIssuer(t *testing.T) {
	at := func(text string) netip.Addr { return netip.MustParseAddr(text) }
	r := clusters.Range{Name: "r1", Workloads: []clusters.Workload{{Name: "bank", Address: at("10.77.1.11")}}}
	private := []string{"10.0.0.1", "10.77.1.10", "10.77.1.12", "10.255.255.255", "127.0.0.1", "192.168.1.1", "172.31.0.1", "100.64.0.1", "::1", "fd00::1"}
	metadata := []string{"169.254.169.254", "169.254.255.1", "fe80::1", "fd00:ec2::254"}
	for name, c := range map[string]struct {
		of            policy.Fetching
		blocked, open []string
	}{
		"nobody":    {policy.Fetching{}, append(private, "10.77.1.11"), nil},
		"an issuer": {policy.Fetching{Issuer: "bank"}, private, []string{"10.77.1.11", "8.8.8.8"}},
		"mistake":   {policy.Fetching{Issuer: "bank", Private: true}, nil, append(private, "10.77.1.11")},
	} {
		networks, err := blocked(r, c.of)
		if err != nil {
			t.Fatal(err)
		}
		is := func(a string) bool {
			for _, n := range networks {
				if netip.MustParsePrefix(n).Contains(at(a)) {
					return true
				}
			}
			return false
		}
		for _, a := range append(metadata, c.blocked...) {
			if !is(a) {
				t.Errorf("%s: %s is fetched from", name, a)
			}
		}
		for _, a := range c.open {
			if is(a) {
				t.Errorf("%s: %s is not fetched from", name, a)
			}
		}
		if env := (plan{blocked: networks}).env(r, "issuer")["BLOCKED_CIDRS_IN_JWKS_URIS"]; env != strings.Join(networks, ",") {
			t.Errorf("%s: istiod is told %q", name, env)
		}
	}
	if _, err := blocked(r, policy.Fetching{Issuer: "nobody"}); err == nil {
		t.Error("an issuer that is not there is no error")
	}
	if (plan{}).sum() == (plan{blocked: []string{"10.0.0.0/8"}}).sum() {
		t.Error("an istiod with another list is taken for the same")
	}
}
