package consul

import (
	"testing"
	"time"
)

func TestWhatTheServerSaysOfALeafIsRead(t *testing.T) {
	l := &authorityLog{trustDomain: "x.consul", refused: map[string]bool{}}
	const stamp = "2026-11-22T16:43:45.078Z "
	for _, c := range []struct {
		line, reason, identity string // neither: nothing is said
	}{
		{`[DEBUG] agent.http: Request finished: method=POST url=/v1/acl/login from=10.77.1.13:1 latency="710.266µs"`, "", ""},
		{`[DEBUG] agent.http: Request finished: method=GET url=/v1/agent/connect/ca/leaf/web from=10.77.1.13:2 latency=1.2ms`, "", "spiffe://x.consul/ns/default/dc/dc1/svc/web"},
		{`[ERROR] agent.http: Request error: method=POST url=/v1/acl/login from=10.77.1.13:3 error="error validating claims: go-jose/go-jose/jwt: validation failed, token is expired (exp)"`, "error validating claims: go-jose/go-jose/jwt: validation failed, token is expired", ""},
		{`[DEBUG] agent.http: Request finished: method=POST url=/v1/acl/login from=10.77.1.13:3 latency="347.752µs"`, "", ""},
		{`[ERROR] agent.http: Request error: method=GET url=/v1/agent/connect/ca/leaf/sink from=10.77.1.13:4 error="Permission denied: token with AccessorID '8d0bb4c8-95b0-61cb-a86c-e7edafe5fca4' lacks permission 'service:write' on \"sink\""`, "Permission denied: lacks permission 'service:write' on", ""},
		{`[DEBUG] agent.http: Request finished: method=GET url=/v1/agent/connect/ca/leaf/sink from=10.77.1.13:4 latency=1ms`, "", ""},
		{`[ERROR] agent.http: Request error: method=POST url=/v1/acl/login from=10.77.1.13:6 error="lookup failed: [invalid bearer token, pod UID (3154e840-6447-4ed7-a575-428ef706c2dd) does not match service account pod ref claim (65532f2f-f20c-466f-bd09-90cb4c4a5799)]"`, "lookup failed: invalid bearer token, pod UID does not match service account pod ref claim", ""},
		{`[ERROR] agent.http: Request error: method=POST url=/v1/acl/login from=10.77.1.13:7 error="lookup failed: [invalid bearer token, token audiences [\"vault\"] is invalid for the target audiences [\"https://kubernetes.default.svc\"]]"`, "lookup failed: invalid bearer token, token audiences is invalid for the target audiences", ""},
		{`[DEBUG] agent.http: Request finished: method=GET url=/v1/agent/connect/ca/leaf/sink from=10.77.1.13:4 latency=1ms`, "", "spiffe://x.consul/ns/default/dc/dc1/svc/sink"},
		{`[ERROR] agent.http: Request error: method=GET url=/v1/agent/self from=10.77.1.10:5 error="Permission denied"`, "", ""},
		{`[WARN]  agent: something else`, "", ""},
	} {
		r, ok, err := l.parse([]byte(stamp+c.line), time.Now())
		s := r.Signal
		switch said := c.reason != "" || c.identity != ""; {
		case err != nil || ok != said:
			t.Errorf("%v %v of %s", ok, err, c.line)
		case !said:
		case s.Refused != (c.reason != "") || s.Reason != c.reason || c.identity != "" && (len(s.Identity) != 1 || s.Identity[0] != c.identity):
			t.Errorf("%+v of %s", s, c.line)
		case !r.Source.IsValid() || s.At.UTC().Format("15:04:05.000") != "16:43:45.078":
			t.Errorf("from %s at %s", r.Source, s.At)
		}
	}
}

func FuzzParseAuthority(f *testing.F) {
	f.Add([]byte(`2026-11-22T16:43:45.078Z [ERROR] agent.http: Request error: method=GET url=/v1/agent/connect/ca/leaf/sink from=10.77.1.13:4 error="x"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l := &authorityLog{refused: map[string]bool{}}
		if r, ok, err := l.parse(line, time.Unix(1, 0)); ok && (err != nil || !r.Source.IsValid() || len(r.Signal.Raw) > rawLimit) {
			t.Errorf("%+v %v", r, err)
		}
	})
}
