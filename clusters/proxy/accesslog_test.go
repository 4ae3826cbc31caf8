package proxy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func bank() Log {
	return Log{Workload: "bank", Address: netip.MustParseAddr("10.77.1.11")}
}

func parse(t *testing.T, p Log, line string) (signals.Record, bool) {
	t.Helper()
	r, ok, err := p.ParseAccessLog([]byte(line), time.Unix(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	return r, ok
}

// Lines as Envoy 1.40 writes them.
const (
	lineDenied = `{"start":"2026-11-22T15:00:00.123456Z","nonce":"n-1","source":"10.77.1.12:41000","local":"10.77.1.11:15006","onward":null,` +
		`"upstream":null,"peer":"spiffe://one.test/ns/prod/sa/thief","serial":"0a0b","protocol":"HTTP/1.1","method":"POST","path":"/v1/charge",` +
		`"status":403,"details":"rbac_access_denied_matched_policy[none]","flags":"-","ended":null,"tls":null,"onwardtls":null}`
	lineServed = `{"start":"2026-11-22T15:00:00.123456Z","nonce":"n-2","source":"10.77.1.10:41000","local":"10.77.1.11:15006","onward":"127.0.0.1:5000",` +
		`"upstream":"127.0.0.1:8080","protocol":"HTTP/2","method":"GET","path":"/v1/rates","status":200,"details":"via_upstream","flags":"-"}`
	lineExpired = `{"start":"2026-11-22T15:00:00.123456Z","source":"10.77.1.13:41000","local":"10.77.1.11:15006","protocol":null,"status":0,"flags":"-",` +
		`"tls":"TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end"}`
	lineUpstream = `{"nonce":"n-3","source":"10.77.1.10:41000","local":"240.0.0.1:8080","upstream":"10.77.1.11:20000","protocol":"HTTP/1.1","method":"GET","path":"/",` +
		`"status":503,"details":"upstream_reset_before_response_started{connection_failure}","flags":"UF,URX",` +
		`"onwardtls":"TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end"}`
	lineRefused = `{"nonce":"n-4","source":"10.77.1.10:41000","local":"240.0.0.1:8080","upstream":"10.77.1.11:20000","protocol":"HTTP/1.1","method":"GET","path":"/",` +
		`"status":503,"details":"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}","flags":"UF",` +
		`"onwardtls":"delayed_connect_error:_Connection_refused"}`
	lineNoChain = `{"source":"10.77.1.13:41000","local":"10.77.1.11:15006","protocol":null,"details":"filter_chain_not_found","flags":"NR"}`
	lineTCP     = `{"source":"10.77.1.12:41000","local":"10.77.1.11:9000","ended":"rbac_access_denied_matched_policy[none]","flags":"-","upstream":null}`
	linePassed  = `{"source":"10.77.1.10:41000","local":"10.77.1.11:9000","upstream":"127.0.0.1:9000","flags":"-"}`
	lineCarrier = `{"source":"10.77.1.10:41000","local":"10.77.1.11:15006","flags":"-","status":0}`
)

func TestARefusalKeepsItsLayerItsReasonAndWhoItWas(t *testing.T) {
	for line, want := range map[string]struct{ layer, reason string }{
		lineDenied:   {"http", "rbac_access_denied_matched_policy[none]"},
		lineExpired:  {"tls", "certificate_expired"},
		lineUpstream: {"http", "upstream_certificate_expired"},
		lineRefused:  {"http", "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"},
		lineNoChain:  {"tcp", "filter_chain_not_found"},
		lineTCP:      {"tcp", "rbac_access_denied_matched_policy[none]"},
	} {
		r, ok := parse(t, bank(), line)
		if g := r.Signal; !ok || !g.Refused || g.Layer != want.layer || g.Reason != want.reason || !r.Source.IsValid() {
			t.Errorf("%s\ngave %+v, want %v", line, r, want)
		}
	}
	r, _ := parse(t, bank(), lineDenied)
	g := r.Signal
	if g.Nonce != "n-1" || g.Method != "POST" || g.Path != "/v1/charge" || g.Status != 403 || g.Upstream || !g.Inbound ||
		!slices.Equal(g.Identity, []string{"spiffe://one.test/ns/prod/sa/thief"}) || g.Serial != "0a0b" ||
		g.At.Format(time.RFC3339Nano) != "2026-11-22T15:00:00.123456Z" {
		t.Errorf("%+v", g)
	}
	if r, _ := parse(t, bank(), lineUpstream); r.Signal.Inbound || r.Signal.Upstream {
		t.Errorf("an outbound request that never arrived: %+v", r.Signal)
	}
}

func TestWhatWasPassedOnIsNoRefusal(t *testing.T) {
	for _, line := range []string{lineServed, linePassed} {
		if r, ok := parse(t, bank(), line); !ok || r.Signal.Refused || !r.Signal.Upstream || r.Signal.Reason != "" {
			t.Errorf("%s\ngave %+v", line, r)
		}
	}
	if r, ok := parse(t, bank(), lineCarrier); ok {
		t.Errorf("a connection that only carried requests: %+v", r)
	}
}

func TestALineThatIsNoAccessLogIsAnError(t *testing.T) {
	for _, line := range []string{"", "[warning] text", `{"start":`, `{"path":{"a":1}}`, `{"nonce":"` + strings.Repeat("x", programs.LongestLine) + `"}`} {
		if _, _, err := bank().ParseAccessLog([]byte(line), time.Now()); err == nil {
			t.Errorf("%.40q was read", line)
		}
	}
}

func TestTheFormatHasEveryFieldThatIsRead(t *testing.T) {
	full := map[string]string{}
	for k := range LogFormat(true) {
		full[k] = "127.0.0.1:1"
	}
	raw, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	for _, v := range []text{e.Start, e.Nonce, e.Source, e.Local, e.Onward, e.Upstream, e.Peer, e.Serial, e.Protocol, e.Method,
		e.Path, e.Status, e.Details, e.Flags, e.Ended, e.TLS, e.OnwardTLS} {
		if v == "" {
			t.Errorf("a field is not in the format: %+v", e)
		}
	}
	for k, v := range LogFormat(false) {
		if k != "local" && strings.Contains(v, "ADDRESS") {
			t.Errorf("%s has %s", k, v)
		}
	}
}

func FuzzAnAccessLogLineIsReadOrRefused(f *testing.F) {
	for _, line := range []string{lineDenied, lineServed, lineExpired, lineUpstream, lineRefused, lineNoChain, lineTCP, linePassed, lineCarrier} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok, err := bank().ParseAccessLog([]byte(line), time.Unix(100, 0))
		if err != nil && ok {
			t.Error("an error and a record")
		}
		if ok && r.Signal.Layer == "" {
			t.Error("a record without a layer")
		}
	})
}
