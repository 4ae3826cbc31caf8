package attacks_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// platform is an API that takes what it is given, or what it likes of it.
type platform struct {
	refuse bool
	alter  func(map[string]any) // what something on the way does to the object

	mu   sync.Mutex
	pods map[string]bool
	seen []string // method, path and user agent
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.Path+" "+r.UserAgent())
	if p.refuse || r.Header.Get("Authorization") != "Bearer held" {
		http.Error(w, "not yours", http.StatusForbidden)
		return
	}
	raw, err := io.ReadAll(r.Body)
	var object map[string]any
	if r.Method != http.MethodDelete && (err != nil || json.Unmarshal(raw, &object) != nil) {
		http.Error(w, "no object", http.StatusBadRequest)
		return
	}
	meta, _ := object["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	name, _ := meta["name"].(string)
	switch r.Method {
	case http.MethodDelete:
		delete(p.pods, r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:])
	case http.MethodPost:
		p.pods[name] = true
		w.WriteHeader(http.StatusCreated)
	}
	if object == nil {
		object = map[string]any{}
	}
	meta["uid"] = "5f1c"
	object["metadata"] = meta
	if p.alter != nil && r.Method != http.MethodDelete {
		p.alter(object)
	}
	_ = json.NewEncoder(w).Encode(object)
}

func (p *platform) target(t *testing.T) attacker.Target {
	t.Helper()
	p.pods = map[string]bool{}
	s := httptest.NewUnstartedServer(p)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return attacker.Target{
		Workload: "bank", Accounts: map[string]string{"thief": "prod/thief", "web": "prod/web"},
		Authority: &attacker.Authority{
			Protocol: tenants{}.Name(), Platform: s.Listener.Addr().String(),
			Nodes: map[string]string{"web": "sidecar~10.0.0.1~web-0.prod~prod.svc.cluster.local"},
		},
	}
}

// A submission is one use of an attack that asks the platform.
type submission struct {
	attack string
	params any
	owner  string // of the object
}

// byThief is what every submission of the thief has.
func byThief() attacks.Submission {
	return attacks.Submission{Token: &attacker.Token{Of: "thief", Held: "held"}}
}

func pod(change func(*attacks.SubmitPod)) submission {
	p := attacks.SubmitPod{Submission: byThief()}
	change(&p)
	return submission{"submit-pod", p, "thief"}
}

func submissions() map[string]submission {
	return map[string]submission{
		"annotations":  pod(func(p *attacks.SubmitPod) { p.Annotations = map[string]string{"sidecar.istio.io/inject": "false"} }),
		"labels":       pod(func(p *attacks.SubmitPod) { p.Labels = map[string]string{"istio.io/dataplane-mode": "none"} }),
		"account":      pod(func(p *attacks.SubmitPod) { p.Account = "web" }),
		"no one's own": pod(func(p *attacks.SubmitPod) { p.Account = "default" }),
		"bare":         pod(func(p *attacks.SubmitPod) { p.Bare = true }),
		"container":    {"add-ephemeral-container", attacks.AddEphemeralContainer{Submission: byThief(), In: "web"}, "web"},
		"webhook": {"change-webhook", attacks.ChangeWebhook{
			Submission: byThief(), Name: "{web.namespace}-injector", Change: map[string]any{"failurePolicy": "Ignore"},
		}, "thief"},
		"namespace": {"label-namespace", attacks.LabelNamespace{Submission: byThief(), In: "web", Labels: map[string]string{"istio-injection": "disabled"}}, "web"},
	}
}

func (s submission) run(t *testing.T, target attacker.Target) attacker.Observation {
	t.Helper()
	return only(t, attackertest.Run(t, attack(t, s.attack), attackertest.Outside(t), target, s.params))
}

func TestANaivePlatformTakesWhatIsSubmittedAndNothingOfItStays(t *testing.T) {
	for name, s := range submissions() {
		t.Run(name, func(t *testing.T) {
			p := &platform{}
			o := s.run(t, p.target(t))
			mustHold(t, o, s.owner+"/object")
			if len(p.pods) > 0 {
				t.Errorf("left: %v", p.pods)
			}
			if !strings.HasSuffix(p.seen[0], " "+o.Nonce) {
				t.Errorf("the first request does not carry the nonce: %s", p.seen[0])
			}
			for _, later := range p.seen[1:] {
				if !strings.HasSuffix(later, " meshbreach/tidy") {
					t.Errorf("what tidies up looks like an attempt: %s", later)
				}
			}
		})
	}
}

func TestAHardenedPlatformTakesNothing(t *testing.T) {
	all := submissions()
	all["command"] = submission{"exec-in-pod", attacks.ExecInPod{Submission: byThief(), In: "web"}, "web"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			p := &platform{refuse: true}
			mustRefuse(t, all[name].run(t, p.target(t)), refusal(attacker.LayerHTTP, 403, "not yours"))
			if len(p.seen) != 1 {
				t.Errorf("asked %q", p.seen)
			}
		})
	}
}

// A platform that answers with success and has made the object harmless, or
// has not made it, has not lost.
func TestAnObjectThatWasMadeHarmlessOnTheWayIsNoBreach(t *testing.T) {
	for name, alter := range map[string]func(map[string]any){
		"no identity": func(o map[string]any) { o["metadata"].(map[string]any)["uid"] = "" },
		"annotation":  func(o map[string]any) { o["metadata"].(map[string]any)["annotations"] = map[string]any{} },
		"account":     func(o map[string]any) { o["spec"].(map[string]any)["serviceAccountName"] = "another" },
		"container":   func(o map[string]any) { o["spec"].(map[string]any)["ephemeralContainers"] = []any{} },
		"bare": func(o map[string]any) {
			o["spec"].(map[string]any)["initContainers"] = []any{map[string]any{"name": "proxy"}}
		},
		"webhook": func(o map[string]any) { o["webhooks"].([]any)[0].(map[string]any)["failurePolicy"] = "Fail" },
	} {
		t.Run(name, func(t *testing.T) {
			p := &platform{alter: alter}
			s, ok := submissions()[name]
			if !ok {
				s = submissions()["annotations"]
			}
			mustHold(t, s.run(t, p.target(t)))
		})
	}
}

func TestSubmissionsThatMakeNoSenseAreRefused(t *testing.T) {
	const token = `"token": {"of": "thief"}`
	for _, c := range []struct{ attack, params, want string }{
		{"submit-pod", `{}`, "token has to be named"},
		{"submit-pod", `{"token": {"of": "thief", "key": "mine"}}`, `key "mine"`},
		{"submit-pod", `{` + token + `, "in": "web"}`, `unknown field "in"`},
		{"add-ephemeral-container", `{` + token + `}`, "in has to be named"},
		{"exec-in-pod", `{` + token + `}`, "in has to be named"},
		{"exec-in-pod", `{` + token + `, "in": "web", "request": "GET /"}`, `unknown field "request"`},
		{"label-namespace", `{` + token + `, "labels": {"a": "b"}}`, "in has to be named"},
		{"label-namespace", `{` + token + `, "in": "web"}`, "labels have to be named"},
		{"change-webhook", `{` + token + `, "name": "a"}`, "change has to be named"},
		{"change-webhook", `{` + token + `, "change": {"a": "b"}}`, "name has to be named"},
		{"change-webhook", `{` + token + `, "name": "{web.shoe}", "change": {"a": "b"}}`, "the word behind the dot"},
		{"submit-issuer", `{` + token + `}`, "keys has to be named"},
		{"submit-issuer", `{` + token + `, "keys": "{web.shoe}"}`, "the word behind the dot"},
		{"submit-issuer", `{"keys": "http://{bank.address}/"}`, "token has to be named"},
	} {
		if _, err := attack(t, c.attack).Decode(json.RawMessage(c.params)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: error %v instead of %q", c.attack, c.params, err, c.want)
		}
	}
}

// A pod asks for a proxy with the labels that the platform names, and whether it
// was given one decides what was won.
func TestAPodThatAsksForAProxyIsAsItWasAskedForOnlyWithOne(t *testing.T) {
	for name, c := range map[string]struct {
		bare, injects bool
		holds         []string
	}{
		"given one":                   {false, true, []string{"thief/object"}},
		"given none":                  {false, false, nil},
		"given none, and wanted none": {true, false, []string{"thief/object"}},
		"given one all the same":      {true, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked := any(nil)
			p := &platform{alter: func(o map[string]any) {
				asked = o["metadata"].(map[string]any)["labels"]
				if spec := o["spec"].(map[string]any); c.injects {
					spec["initContainers"] = []any{map[string]any{"name": "proxy"}}
				}
			}}
			target := p.target(t)
			target.Authority.PodImage, target.Authority.PodLabels = "probe:1", map[string]string{"istio.io/rev": "r1"}
			s := pod(func(p *attacks.SubmitPod) { p.Proxied, p.Bare, p.Labels = true, c.bare, map[string]string{"app": "x"} })
			mustHold(t, s.run(t, target), c.holds...)
			if want := map[string]any{"istio.io/rev": "r1", "app": "x"}; !reflect.DeepEqual(asked, want) {
				t.Errorf("asked with the labels %v", asked)
			}
			if len(p.pods) > 0 {
				t.Errorf("left: %v", p.pods)
			}
		})
	}
}
