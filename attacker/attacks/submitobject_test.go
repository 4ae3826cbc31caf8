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

func submissions() map[string]attacks.SubmitObject {
	token := &attacker.Token{Of: "thief", Held: "held"}
	return map[string]attacks.SubmitObject{
		"annotations":  {Token: token, Annotations: map[string]string{"sidecar.istio.io/inject": "false"}},
		"labels":       {Token: token, Labels: map[string]string{"istio.io/dataplane-mode": "none"}},
		"account":      {Token: token, Account: "web"},
		"no one's own": {Token: token, Account: "default"},
		"bare":         {Token: token, Bare: true},
		"container":    {Token: token, Object: attacks.SubmitContainer, In: "web"},
		"webhook":      {Token: token, Object: attacks.SubmitWebhook, Name: "{web.namespace}-injector", Change: map[string]any{"failurePolicy": "Ignore"}},
		"namespace":    {Token: token, Object: attacks.SubmitNamespace, In: "web", Labels: map[string]string{"istio-injection": "disabled"}},
	}
}

func TestANaivePlatformTakesWhatIsSubmittedAndNothingOfItStays(t *testing.T) {
	for name, params := range submissions() {
		t.Run(name, func(t *testing.T) {
			p := &platform{}
			o := only(t, attackertest.Run(t, attack(t, "submit-object"), attackertest.Outside(t), p.target(t), params))
			of := "thief/object"
			if params.In != "" {
				of = params.In + "/object"
			}
			mustHold(t, o, of)
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
	params := submissions()
	params["command"] = attacks.SubmitObject{Token: &attacker.Token{Of: "thief", Held: "held"}, Object: attacks.SubmitCommand, In: "web"}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		t.Run(name, func(t *testing.T) {
			p := &platform{refuse: true}
			o := only(t, attackertest.Run(t, attack(t, "submit-object"), attackertest.Outside(t), p.target(t), params[name]))
			mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, "not yours"))
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
			params := submissions()[name]
			if params.Token == nil {
				params = submissions()["annotations"]
			}
			mustHold(t, only(t, attackertest.Run(t, attack(t, "submit-object"), attackertest.Outside(t), p.target(t), params)))
		})
	}
}

func TestSubmissionsThatMakeNoSenseAreRefused(t *testing.T) {
	for params, want := range map[string]string{
		`{"object": "crowd"}`:   `object "crowd" is none of`,
		`{"object": "command"}`: "in names whose pod",
		`{"in": "web"}`:         "in names whose pod",
		`{"object": "command", "in": "web", "annotations": {"a": "b"}}`: "annotations are for a pod",
		`{"object": "command", "in": "web", "labels": {"a": "b"}}`:      "labels are for a pod or a namespace",
		`{"object": "command", "in": "web", "account": "web"}`:          "account is for a pod",
		`{"object": "command", "in": "web", "bare": true}`:              "bare and proxied are for a pod",
		`{"object": "namespace", "in": "web", "proxied": true}`:         "bare and proxied are for a pod",
		`{"object": "webhook", "name": "a"}`:                            "name and change are for a webhook",
		`{"object": "request-authentication"}`:                          "keys is for a request-authentication",
		`{"keys": "http://{bank.address}/"}`:                            "keys is for a request-authentication",
		`{"by": "http://{bank.address}/"}`:                              "by is for a request-authentication",
		`{"object": "request-authentication", "keys": "{web.shoe}"}`:    "the word behind the dot",
		`{"name": "{web.shoe}"}`:                                        "the word behind the dot",
	} {
		if _, err := attack(t, "submit-object").Decode(json.RawMessage(params)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v instead of %q", params, err, want)
		}
	}
}

// A pod asks for a proxy with the labels that the platform names, and whether it
// was given one decides what was won.
func TestAPodThatAsksForAProxyIsAsItWasAskedForOnlyWithOne(t *testing.T) {
	token := &attacker.Token{Of: "thief", Held: "held"}
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
			params := attacks.SubmitObject{Token: token, Proxied: true, Bare: c.bare, Labels: map[string]string{"app": "x"}}
			o := only(t, attackertest.Run(t, attack(t, "submit-object"), attackertest.Outside(t), target, params))
			mustHold(t, o, c.holds...)
			if want := map[string]any{"istio.io/rev": "r1", "app": "x"}; !reflect.DeepEqual(asked, want) {
				t.Errorf("asked with the labels %v", asked)
			}
			if len(p.pods) > 0 {
				t.Errorf("left: %v", p.pods)
			}
		})
	}
}
