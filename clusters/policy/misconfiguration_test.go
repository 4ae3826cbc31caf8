package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// full is a policy in which every misconfiguration has something to misconfigure.
func full() Policy {
	p := tokened()
	p.MTLS = Strict
	p.Identity.Leaf = time.Minute
	return p
}

func misconfigure(t *testing.T, p Policy, names ...string) Policy {
	t.Helper()
	out, err := Misconfigure(p, names...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryWeakeningIsNamedExplainedAndChangesAPolicy(t *testing.T) {
	all := Misconfigurations()
	if !slices.IsSortedFunc(all, func(a, b Misconfiguration) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	seen := map[string]bool{}
	for _, w := range all {
		t.Run(w.Name, func(t *testing.T) {
			if seen[w.Name] {
				t.Error("the name is there twice")
			}
			seen[w.Name] = true
			for _, mesh := range []string{"Istio", "Linkerd", "Consul"} {
				if !strings.Contains(w.Doc, mesh) && !tokenOrProxyMatter(w.Name, mesh) {
					t.Errorf("the text does not say what it is in %s", mesh)
				}
			}
			if !slices.Contains([]Scope{ScopeRange, ScopeMesh, ScopeControlPlane}, w.Scope) {
				t.Errorf("scope %q", w.Scope)
			}
			before := full()
			after := misconfigure(t, before, w.Name)
			if reflect.DeepEqual(before, after) {
				t.Error("nothing changed")
			}
			if !reflect.DeepEqual(before, full()) {
				t.Error("the policy that was given changed")
			}
			if again := misconfigure(t, after, w.Name); !reflect.DeepEqual(again, after) {
				t.Error("twice is more than once")
			}
			w.Apply(&Policy{}) // an empty policy is misconfigured in peace
		})
	}
}

// tokenOrProxyMatter: Linkerd verifies no tokens, so mistakes about them are not its.
func tokenOrProxyMatter(name, mesh string) bool {
	return mesh == "Linkerd" && (strings.Contains(name, "token") || slices.Contains([]string{"publish-hmac-key", "ignore-audience", "any-trusted-issuer"}, name))
}

func TestAWeakeningOpensWhatItSaysAndNoMore(t *testing.T) {
	asks := map[string]func(*Request){
		"thief":             func(q *Request) { q.From = "thief"; q.Subject = "web" },
		"other namespace":   func(q *Request) { q.From = "staging/web"; q.Subject = "web" },
		"plaintext":         func(q *Request) { q.From, q.Withmesh = "outsider", false; q.Subject = "web" },
		"no certificate":    func(q *Request) { q.From = ""; q.Subject = "web" },
		"method":            func(q *Request) { q.Method = "DELETE"; q.Subject = "web" },
		"path":              func(q *Request) { q.Path = "/v1/admin"; q.Subject = "web" },
		"port":              func(q *Request) { q.Port = clusters.PortAdmin; q.Subject = "web" },
		"no token":          func(*Request) {},
		"thief, no token":   func(q *Request) { q.From = "thief" },
		"thief's own token": func(q *Request) { q.Subject = "thief" },
		"other issuer":      func(q *Request) { q.Subject, q.Issuer = "web", "other" },
		"unknown issuer":    func(q *Request) { q.Subject, q.Issuer = "web", "nobody" },
	}
	opens := map[string][]string{
		"allow-any-principal": {"other namespace", "thief"},
		"allow-anybody":       {"other namespace", "thief"},
		"match-account-only":  {"other namespace"},
		"drop-methods":        {"method"},
		"drop-paths":          {"path"},
		"drop-ports":          {"port"},
		"no-policy": {"method", "no token", "other issuer", "other namespace", "path", "port", "thief",
			"thief's own token", "thief, no token", "unknown issuer"},
		"accept-plaintext":            {"other namespace", "plaintext", "thief"},
		"optional-client-certificate": {"no certificate", "other namespace", "thief"},
		"accept-token-alone":          {"other namespace", "thief"},
		"any-trusted-issuer":          {"other issuer"},
		"any-token-subject":           {"thief's own token"},
		"optional-token":              {"no token", "other issuer", "thief's own token"},
		"no-token-check":              {"no token", "other issuer", "thief's own token", "unknown issuer"},
	}
	for _, w := range Misconfigurations() {
		t.Run(w.Name, func(t *testing.T) {
			p := misconfigure(t, full(), w.Name)
			var got []string
			for name, ask := range asks {
				q := charge()
				ask(&q)
				if full().Admits(stage(), q) {
					t.Fatalf("%s gets through the whole policy", name)
				}
				if p.Admits(stage(), q) {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, opens[w.Name]) {
				t.Errorf("opens %q, want %q", got, opens[w.Name])
			}
			honest := charge()
			honest.Subject = "web"
			if !p.Admits(stage(), honest) {
				t.Error("the honest call is refused")
			}
		})
	}
}

func TestWeakeningsThatRulesCannotShowChangeTheirOwnSwitch(t *testing.T) {
	want := map[string]func(*Policy){
		"accept-expired-certificates": func(p *Policy) { p.Trust.AcceptExpired = true },
		"accept-any-trust-domain":     func(p *Policy) { p.Trust.AnyTrustDomain = true },
		"trust-forged-root":           func(p *Policy) { p.Trust.ExtraRoots = []string{"forged"} },
		"publish-hmac-key":            func(p *Policy) { p.Tokens.PublishHMACKey = true },
		"ignore-token-expiry":         func(p *Policy) { p.Tokens.IgnoreExpiry = true },
		"ignore-audience":             func(p *Policy) { p.Tokens.Audience = "" },
		"withhold-policy-changes":     func(p *Policy) { p.Changes.Withhold = true },
		"keep-open-streams":           func(p *Policy) { p.Changes.KeepStreams = true },
		"swap-root-in-one-step":       func(p *Policy) { p.Changes.RootInOneStep = true },
		"no-source-address":           func(p *Policy) { p.Logging.NoAddress = true },
	}
	for name, change := range want {
		p := full()
		change(&p)
		if got := misconfigure(t, full(), name); !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, want %+v", name, got, p)
		}
	}
}

func TestAllowAnyPrincipalDoesNotTightenARuleForAnybody(t *testing.T) {
	p := Policy{Allow: []Rule{{To: "bank"}}}
	if got := misconfigure(t, p, "allow-any-principal"); got.Allow[0].From != nil {
		t.Errorf("from %q, want anybody", got.Allow[0].From)
	}
}

func TestAnUnknownWeakeningIsAnErrorThatNamesTheNearest(t *testing.T) {
	_, err := Misconfigure(full(), "drop-methods", "alow-anybody")
	if err == nil || !strings.Contains(err.Error(), `"alow-anybody"`) || !strings.Contains(err.Error(), `"allow-anybody"`) {
		t.Errorf("error %v", err)
	}
	if _, err := Misconfigure(full(), "zzzzzzzzzz"); err == nil || strings.Contains(err.Error(), "mean") {
		t.Errorf("error %v, want no suggestion", err)
	}
}

func TestACloneSharesNoMemory(t *testing.T) {
	var p Policy
	fill(t, reflect.ValueOf(&p).Elem())
	c := p.Clone()
	if !reflect.DeepEqual(p, c) {
		t.Fatalf("clone %+v, want %+v", c, p)
	}
	apart(t, "policy", reflect.ValueOf(p), reflect.ValueOf(c))
}

// fill gives every field a value, so that a field of tomorrow is cloned too.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	default:
		t.Fatalf("a policy has a %s, which this test does not know", v.Type())
	}
}

func apart(t *testing.T, at string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			apart(t, at+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Pointer, reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", at)
		}
		if a.Kind() == reflect.Pointer {
			apart(t, at, a.Elem(), b.Elem())
		} else {
			apart(t, at+"[0]", a.Index(0), b.Index(0))
		}
	}
}
