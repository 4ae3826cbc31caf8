package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes/meshtest"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// paperAPI is a Kubernetes API that keeps objects by path and decides about
// rights by the roles among them.
type paperAPI struct {
	mu      sync.Mutex
	objects map[string]kubeapi.Object
	// fails names, by a part of the path, a request that is answered with an
	// error once: without effect, or, where late is set, after its effect.
	fails string
	late  bool
}

func (a *paperAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var body kubeapi.Object
	_ = json.NewDecoder(r.Body).Decode(&body) // a deletion has none
	_, there := a.objects[r.URL.Path]
	fails := a.fails != "" && strings.Contains(r.URL.Path, a.fails)
	switch {
	case fails && !a.late:
	case r.Method == http.MethodPatch:
		a.objects[r.URL.Path] = body
	case r.Method == http.MethodDelete:
		delete(a.objects, r.URL.Path)
	}
	switch {
	case fails:
		a.fails = ""
		http.Error(w, `{"reason":"Timeout","message":"etcd has not answered"}`, http.StatusInternalServerError)
	case r.Method == http.MethodPost:
		_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"allowed": a.allows(body)}})
	case r.Method == http.MethodDelete && !there:
		http.Error(w, "{}", http.StatusNotFound)
	default:
		_, _ = w.Write([]byte("{}"))
	}
}

// allows says whether any role has the resource of a review.
func (a *paperAPI) allows(review kubeapi.Object) bool {
	attributes := review["spec"].(map[string]any)["resourceAttributes"].(map[string]any)
	resource := fmt.Sprint(attributes["resource"])
	if part, ok := attributes["subresource"]; ok {
		resource += fmt.Sprintf("/%v", part)
	}
	for _, o := range a.objects {
		rules, _ := o["rules"].([]any)
		for _, rule := range rules {
			if slices.Contains(rule.(map[string]any)["resources"].([]any), any(resource)) {
				return true
			}
		}
	}
	return false
}

func (a *paperAPI) fail(request string, late bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails, a.late = request, late
}

func (a *paperAPI) has() map[string]kubeapi.Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.objects)
}

// paperPilot is an istiod that does as it is told, or fails once: before it has
// an effect, or, where late is set, afterwards.
type paperPilot struct {
	pilot
	mu    sync.Mutex // all proxies of a range renew at once
	st    *stage
	plan  plan
	away  bool
	fails string
	late  bool
}

func (p *paperPilot) act(what string, effect func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	fails := p.fails == what
	if !fails || p.late {
		effect()
	}
	if !fails {
		return nil
	}
	p.fails = ""
	return errors.New(what + ": it took too long")
}

func (p *paperPilot) start(_ context.Context, pl plan) error {
	for _, s := range p.st.sidecars {
		line := fmt.Sprintf("%s\tinfo\tads\tADS: new delta connection for node:%s-1", time.Now().Format(time.RFC3339Nano), proxyID(s.workload))
		note(p.st.store, parseEndpoints, []byte(line))
	}
	return p.act("start", func() { p.plan, p.away = pl, false })
}

func (p *paperPilot) hang(_ context.Context, yes bool) error {
	return p.act("hang", func() { p.away = yes })
}

// paperProxy renews its leaf, or fails as its pilot does.
type paperProxy struct {
	instance
	pilot *paperPilot
	life  time.Duration
}

func (p *paperProxy) renew(_ context.Context, life time.Duration) error {
	return p.pilot.act("renew", func() { p.life = life })
}

type paperPlatform struct{ platform }

func (paperPlatform) injectors(context.Context, bool) error { return nil }

// state is all that a policy changes in a range.
type state struct {
	Objects  map[string]kubeapi.Object
	Plan     plan
	Away     bool
	Lives    []time.Duration
	Expected []expected
}

func paperStage(t *testing.T, ca *identity.CA) (st *stage, api *paperAPI, now func() state) {
	t.Helper()
	api = &paperAPI{objects: map[string]kubeapi.Object{}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	by := &paperPilot{}
	in := &installed{api: kubeapi.Reach(server.URL, server.Client())}
	st = in.newStage(paper(), ca, &localRuntime{}, paperPlatform{}, by)
	by.st = st
	for _, s := range st.sidecars {
		s.instance = &paperProxy{pilot: by}
	}
	if _, err := st.Apply(t.Context(), meshtest.Friendly()); err != nil {
		t.Fatal(err)
	}
	if err := st.startPilot(t.Context()); err != nil {
		t.Fatal(err)
	}
	return st, api, func() state {
		s := state{Objects: api.has(), Plan: by.plan, Away: by.away}
		for path, o := range s.Objects {
			if strings.Contains(path, "/authorizationpolicies/") { // its last rule names the revision
				rules := o["spec"].(map[string]any)["rules"].([]any)
				o = maps.Clone(o)
				o["spec"] = rules[:len(rules)-1]
				s.Objects[path] = o
			}
		}
		for _, one := range st.sidecars {
			e := one.expected
			e.ruleVersion = ""
			s.Expected, s.Lives = append(s.Expected, e), append(s.Lives, one.instance.(*paperProxy).life)
		}
		return s
	}
}

// A change of which half is done must not leak into the policies after it, nor
// may the rest be skipped when it is asked for again.
func TestAChangeThatFailsHalfWayIsMadeUpForByTheNext(t *testing.T) {
	ca, err := identity.NewCA("r1.meshbreach.test", identity.CAOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(p *policy.Policy)
		api    string // the request that fails
		pilot  string // what of the pilot or of a proxy fails
	}{
		"an object":              {func(p *policy.Policy) { p.MTLS = policy.Permissive }, "peerauthentications", ""},
		"an object more":         {func(p *policy.Policy) { p.Exposure.ProxyAdmin = true }, "envoyfilters/" + nameAdmin, ""},
		"an object less":         {func(p *policy.Policy) { p.Allow, p.Open = nil, true }, "authorizationpolicies", ""},
		"whom istiod trusts":     {func(p *policy.Policy) { p.Issuance.Impersonation = true }, "", "start"},
		"what istiod shows":      {func(p *policy.Policy) { p.Exposure.AnyDebug = true }, "", "start"},
		"where istiod fetches":   {func(p *policy.Policy) { p.Fetching.Private = true }, "", "start"},
		"whether istiod answers": {func(p *policy.Policy) { p.Changes.Withhold = true }, "", "hang"},
		"lives of leaves":        {func(p *policy.Policy) { p.Identity.Leaf = time.Minute }, "", "renew"},
		"tokens of others":       {func(p *policy.Policy) { p.Issuance.MintTokens = true }, "rolebindings/create-tokens", ""},
		"services in view":       {func(p *policy.Policy) { p.Exposure.ViewServices = true }, "clusterrolebindings/r1-istio-view", ""},
		"issuers of a tenant":    {func(p *policy.Policy) { p.Fetching.Tenant = true }, "rolebindings/tenant", ""},
		"admission":              {func(p *policy.Policy) { p.Admission.Debug = true }, "rolebindings/debugging", ""},
		"a later aspect":         {func(p *policy.Policy) { p.Issuance.MintTokens, p.Issuance.LongLives = true, true }, "roles/create-tokens", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sound := meshtest.Friendly()
			changed := meshtest.Friendly()
			c.change(&changed)
			// What the change comes to where nothing fails.
			st, _, now := paperStage(t, ca)
			before := now()
			if _, err := st.Apply(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
			after := now()
			if reflect.DeepEqual(before, after) && !changed.Changes.Withhold {
				t.Fatal("the change changes nothing: this test would hold nothing")
			}
			for then, want := range map[string]struct {
				policy policy.Policy
				state  state
			}{"back": {sound, before}, "again": {changed, after}} {
				for _, late := range []bool{false, true} {
					st, api, now := paperStage(t, ca)
					by := st.pilot.(*paperPilot)
					by.fails, by.late = c.pilot, late
					api.fail(c.api, late)
					if _, err := st.Apply(t.Context(), changed); err == nil {
						t.Fatal("nothing failed: this test would hold nothing")
					}
					if _, err := st.Apply(t.Context(), want.policy); err != nil {
						t.Fatal(err)
					}
					got := now()
					want.state.Plan.keys, got.Plan.keys = identity.Signing{}, identity.Signing{}
					if !reflect.DeepEqual(got, want.state) {
						t.Errorf("%s after a failure, late %t:\n%+v\nand without one:\n%+v", then, late, got, want.state)
					}
				}
			}
		})
	}
}
