package attacks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

func TestTheCatalogueIsSortedAndSaysWhatItHolds(t *testing.T) {
	all := attacks.Catalog()
	if !slices.IsSortedFunc(all, func(a, b attacker.Attack) int { return strings.Compare(a.Name(), b.Name()) }) {
		t.Error("the catalogue is not sorted")
	}
	seen := map[string]bool{}
	for _, a := range all {
		if seen[a.Name()] || a.Name() == "" || a.Title() == "" || len(a.Doc()) < 80 {
			t.Errorf("%q: a name that is there twice, or no title or prose", a.Name())
		}
		seen[a.Name()] = true
		// What cannot be without a parameter says which.
		if _, err := a.Decode(nil); err != nil && !strings.Contains(err.Error(), "has to be named") {
			t.Errorf("%s without parameters: %v", a.Name(), err)
		}
	}
}

func TestParametersThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct{ attack, params, want string }{
		{"http-request", `{"requets": "GET /"}`, `unknown field "requets"`},
		{"http-request", `{"request": "GET"}`, "not a method, one space and a path"},
		{"http-request", `{"request": "GET /a b"}`, "not a method, one space and a path"},
		{"http-request", `{"request": "GET /\r\nx: y"}`, "not a method, one space and a path"},
		{"http-request", `{"request": "G(T /"}`, "not a method, one space and a path"},
		{"http-request", `{"request": 7}`, "a request is text"},
		{"http-request", `{"port": 65536}`, "port 65536"},
		{"http-request", `{"port": -1}`, "port -1"},
		{"http-request", `{"protocol": "tcp"}`, `protocol "tcp" is none of http1, http2`},
		{"http-request", `{"headers": {"a b": ["c"]}}`, "not a token"},
		{"http-request", `{"headers": {"a": ["c\r\nd"]}}`, "line break"},
		{"http-request", `{} {}`, "more than one JSON value"},
		{"http-request", `{"token": {"of": "web", "key": "mine"}}`, `key "mine"`},
		{"plain-text", `{"form": "udp"}`, `form "udp" is none of`},
		{"plain-text", `{"alpn": ["h2"]}`, "alpn is for the form"},
		{"plain-text", `{"maxVersion": "1.2"}`, "maxVersion is for the form"},
		{"plain-text", `{"form": "tcp", "request": "GET /"}`, "has no request"},
		{"plain-text", `{"form": "tcp", "token": {"of": "web"}}`, "carries no token"},
		{"plain-text", `{"form": "tcp", "protocol": "http2"}`, "has no protocol"},
		{"present-leaf", `{"maxVersion": "1.1"}`, `maxVersion "1.1"`},
		{"present-leaf", `{"protocol": "tcp", "request": "GET /"}`, "has no request"},
		{"forge-jwt", `{"place": "query"}`, "for a second token"},
		{"forge-jwt", `{"second": {"of": "web"}, "place": "cookie"}`, `place "cookie"`},
		{"forge-jwt", `{"second": {"of": "web", "alg": "HS256"}}`, "alg can only be none"},
		{"hold-connection", `{"every": "-1s"}`, "cannot be negative"},
		{"hold-connection", `{"connection": "new"}`, `connection "new"`},
		{"hold-connection", `{"connections": 65}`, "at most 64"},
		{"hold-connection", `{"connections": -1}`, "at most 64"},
		{"hold-connection", `{"connections": 2, "connection": "fresh"}`, "connections is for kept ones"},
		{"hold-connection", `{"connection": "fresh", "redial": true}`, "redial is for a kept"},
	} {
		if _, err := attack(t, c.attack).Decode(json.RawMessage(c.params)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v instead of %q", c.attack, c.params, err, c.want)
		}
	}
}

func TestLootIsAskedForAndItsAbsenceIsAnError(t *testing.T) {
	for _, c := range []struct {
		attack, params string
		leaves, tokens int
	}{
		{"http-request", `{"token": {"of": "web"}}`, 0, 1},
		{"plain-text", `{"token": {"of": "web"}}`, 0, 1},
		{"present-leaf", `{"leaf": {"of": "web"}, "token": {"of": "web"}}`, 1, 1},
		{"forge-jwt", `{"token": {"of": "web"}, "second": {"of": "thief"}}`, 0, 2},
		{"hold-connection", `{"token": {"of": "web"}}`, 0, 1},
	} {
		a := attack(t, c.attack)
		p, err := a.Decode(json.RawMessage(c.params))
		if err != nil {
			t.Fatal(err)
		}
		leaves, tokens := p.(attacker.LootUser).Loot()
		if len(leaves) != c.leaves || len(tokens) != c.tokens {
			t.Errorf("%s asks for %d leaves and %d tokens", c.attack, len(leaves), len(tokens))
		}
		// What the fixture fills in has to arrive.
		for _, token := range tokens {
			token.Held = "filled"
		}
		for _, leaf := range leaves {
			leaf.Held = &attacker.KeyPair{Chain: "filled"}
		}
		if again, err := json.Marshal(p); err != nil || strings.Count(string(again), "filled") != c.leaves+c.tokens {
			t.Errorf("%s loses its loot (%v)", c.attack, err)
		}
		none := func(attacker.Observation) { t.Errorf("%s observed something without its loot", c.attack) }
		err = a.Try(t.Context(), attackertest.Outside(t), attacker.Target{}, func() string { return "n" }, json.RawMessage(c.params), none)
		if err == nil || !strings.Contains(err.Error(), "is held") {
			t.Errorf("%s without its loot: %v", c.attack, err)
		}
	}
}

// An echo says back all that it was sent, as debugging servers do, behind so
// much padding that the token is cut off where an observation's text ends.
func TestATargetThatEchoesBringsNoTokenIntoAnObservation(t *testing.T) {
	s := newStage(t, true)
	for _, padding := range []int{0, 100, 200, 240} {
		for _, status := range []int{200, 403} {
			echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				fmt.Fprint(w, strings.Repeat(".", padding), r.Header.Values("Authorization"), r.RequestURI)
				_, _ = io.Copy(w, r.Body)
			}))
			t.Cleanup(echo.Close)
			u, err := url.Parse(echo.URL)
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.Atoi(u.Port())
			if err != nil {
				t.Fatal(err)
			}
			target := attacker.Target{Address: u.Hostname(), Host: "bank.prod"}
			first, second := s.token(attacker.Token{}), s.token(attacker.Token{Alg: "none"})
			o := only(t, attackertest.Run(t, attack(t, "forge-jwt"), attackertest.Outside(t), target,
				attacks.ForgeJWT{Call: attacks.Call{Port: port}, Token: first, Second: &second}))
			text, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "Bearer") && padding < 200 {
				t.Error("the echo did not arrive, so this shows nothing")
			}
			if strings.Contains(string(text), first.Held[:12]) {
				t.Errorf("after %d bytes the observation has a part of the token", padding)
			}
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"request":"POST /v1/charge","port":8080,"protocol":"http2"}`,
		`{"form":"tls-without-certificate","alpn":["h2"]}`, `{"leaf":{"of":"web","notAfter":"-1s"}}`,
		`{"token":{"of":"web","alg":"none","tamper":{"sub":"x"}},"second":{"of":"thief"},"place":"header"}`,
		`{"every":"5ms","for":"1s","connection":"fresh"}`, `{"request":"GET /\r\n"}`, `null`, `[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, a := range attacks.Catalog() {
			p, err := a.Decode(raw)
			if err != nil {
				continue
			}
			again, err := json.Marshal(p)
			if err != nil {
				t.Fatalf("%s: what was read cannot be written: %v", a.Name(), err)
			}
			if _, err := a.Decode(again); err != nil {
				t.Errorf("%s: what was written cannot be read: %v", a.Name(), err)
			}
			if r, ok := p.(*attacks.HTTPRequest); ok {
				if method, path := r.Request.Split(); strings.ContainsAny(method+path, " \r\n\t\x00") || method == "" || path == "" {
					t.Errorf("request %q is not one request line", r.Request)
				}
			}
		}
	})
}
