package istio

import (
	"strings"
	"testing"
	"time"
)

const failed = "2026-11-22T16:24:32.996402Z\terror\tsecurity\tFailed to authenticate client from 10.77.1.13:47250: " +
	"Authenticator ClientCertAuthenticator: no verified chain is found; Authenticator KubeJWTAuthenticator: "

const believed = `failed to validate the JWT from cluster "": the service account authentication returns an error: [invalid bearer token, `

func TestWhatIstiodSaysOfALeafIsRead(t *testing.T) {
	for line, want := range map[string]string{
		failed + "target JWT extraction error: no HTTP authorization header exists":                                                "target JWT extraction error: no HTTP authorization header exists",
		failed + believed + `token audiences ["https://kubernetes.default.svc"] is invalid for the target audiences ["istio-ca"]]`: "token audiences is invalid for the target audiences",
		failed + believed + `service account token has expired]`:                                                                   "service account token has expired",
		failed + believed + `service account UID (7a3e) does not match claim (51f0)]`:                                              "service account UID does not match claim",
		"2026-11-22T16:24:52.6Z\twarn\tserverca\timpersonation failed for identity spiffe://r1.meshbreach.test/ns/r1-prod/sa/bank, error: caller (r1-prod/thief) is not allowed to impersonate\tclient=1.2.3.4:5": "impersonation failed for identity, error: caller is not allowed to impersonate",
		"2026-11-22T16:24:52.5Z\terror\tserverca\tCSR signing error: requested TTL 2160h0m0s is greater than the max allowed TTL 24h0m0s\tclient=1.2.3.4:5":                                                       "requested TTL is greater than the max allowed TTL",
		"2026-11-22T16:24:52.5Z\twarn\tserverca\timpersonation not allowed, as node authorizer (CA_TRUSTED_NODE_ACCOUNTS) is not configured\tclient=1.2.3.4:5":                                                    "impersonation not allowed, as node authorizer is not configured",
		"2026-11-22T16:24:52.5Z\twarn\tserverca\timpersonation failed for identity spiffe://x/ns/a/sa/b, error: no pods\tclient=1.2.3.4:5":                                                                        "impersonation failed for identity, error: no pods",
	} {
		r, ok, err := parseIssuance([]byte(line+"\n"), time.Now())
		if err != nil || !ok || !r.Signal.Refused || r.Signal.Reason != want || !r.Source.IsValid() || r.Signal.At.IsZero() {
			t.Errorf("%v %v %+v from %s", ok, err, r.Signal, r.Source)
		}
	}
	r, ok, err := parseIssuance([]byte("2026-11-22T16:24:52.5Z\tdebug\tserverca\tCSR successfully signed, sans [spiffe://x/ns/a/sa/b spiffe://x/c].\tclient=1.2.3.4:5\n"), time.Now())
	if err != nil || !ok || r.Signal.Refused || strings.Join(r.Signal.Identity, "|") != "spiffe://x/ns/a/sa/b|spiffe://x/c" || r.Source.String() != "1.2.3.4:5" {
		t.Errorf("%v %v %+v", ok, err, r)
	}
	for _, line := range []string{"", "x\ty\tz", "2026-11-22T16:24:52.5Z\tinfo\tads\tPush debounce stable", failed[:84]} {
		if r, ok, _ := parseIssuance([]byte(line), time.Now()); ok {
			t.Errorf("%q was taken for %+v", line, r)
		}
	}
}

func FuzzParseAuthority(f *testing.F) {
	f.Add([]byte(failed + believed + "x]"))
	f.Add([]byte("2026-11-22T16:24:52.5Z\tdebug\tserverca\tCSR successfully signed, sans [a].\tclient=1.2.3.4:5"))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, ok, err := parseIssuance(line, time.Unix(1, 0))
		if ok && (err != nil || !r.Source.IsValid() || len(r.Signal.Raw) > rawLimit) {
			t.Errorf("%+v %v", r, err)
		}
	})
}
