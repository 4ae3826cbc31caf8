package attacks_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// mustHold is the breach of an attack that wins by what it is told: the canary
// was found, and nothing of the answer but that is kept.
func mustHold(t *testing.T, o attacker.Observation, names ...string) {
	t.Helper()
	mustServe(t, o)
	if o.Reply == nil {
		return
	}
	if !slices.Equal(o.Reply.Holds, names) {
		t.Errorf("the answer holds %v instead of %v", o.Reply.Holds, names)
	}
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{attackertest.MapCanary, attackertest.ConfigCanary} {
		if strings.Contains(string(raw), c) {
			t.Errorf("the observation holds %s", c)
		}
	}
}

func TestANaiveControlPlaneTellsEverybodyEverything(t *testing.T) {
	s := newAskStage(t)
	p := attackertest.NaiveControlPlane(t, s.ca, attackertest.Protocol{}.Name(), s.names())
	for name, params := range map[string]attacks.ReadInterface{
		"with nothing":         {Endpoint: attacks.EndpointMonitoring},
		"with another's token": {Endpoint: attacks.EndpointMonitoring, Token: s.account("thief", s.thief, caAudience)},
		"by a header":          {Endpoint: attacks.EndpointMonitoring, Forwarded: "authority"},
	} {
		t.Run(name, func(t *testing.T) {
			params.Call = attacks.Call{Request: "GET /debug/{web.namespace}"}
			mustHold(t, only(t, attackertest.Run(t, attack(t, "read-interface"), attackertest.Outside(t), p.Target, params)), "bank")
		})
	}
}

func TestAHardenedControlPlaneTellsNobodyOfOthers(t *testing.T) {
	s := newAskStage(t)
	names := s.names()
	names["bank"] = s.ca.ID("prod", "bank")
	p := attackertest.HardenedControlPlane(t, s.ca, attackertest.Protocol{}.Name(), names, s.issuer, caAudience)
	own := s.account("thief", s.thief, caAudience)
	for name, c := range map[string]struct {
		params attacks.ReadInterface
		want   attacker.Refusal
	}{
		"with nothing":      {attacks.ReadInterface{}, refusal(attacker.LayerHTTP, 401, "")},
		"by a header":       {attacks.ReadInterface{Forwarded: "authority"}, refusal(attacker.LayerHTTP, 401, "")},
		"another audience":  {attacks.ReadInterface{Token: s.account("thief", s.thief, "vault")}, refusal(attacker.LayerHTTP, 401, "")},
		"with one's own":    {attacks.ReadInterface{Token: own}, refusal(attacker.LayerHTTP, 403, "not for workloads")},
		"what is one's own": {attacks.ReadInterface{Token: own, Call: attacks.Call{Request: "GET /debug/own"}}, attacker.Refusal{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.params.Endpoint = attacks.EndpointMonitoring
			if c.params.Request == "" {
				c.params.Request = "GET /debug/all"
			}
			o := only(t, attackertest.Run(t, attack(t, "read-interface"), attackertest.Outside(t), p.Target, c.params))
			if c.params.Token != nil && (len(o.LogKeys) != 1 || !strings.HasPrefix(o.LogKeys[0], s.thief+" /debug/")) {
				t.Errorf("log keys %q", o.LogKeys)
			}
			if c.want.Layer == "" {
				mustHold(t, o)
				return
			}
			mustRefuse(t, o, c.want)
		})
	}
}

func TestACanaryThatOnlyComesBackProvesNothing(t *testing.T) {
	s := newAskStage(t)
	p := attackertest.NaiveControlPlane(t, s.ca, attackertest.Protocol{}.Name(), s.names())
	p.Target.Canaries = map[string][]string{"bank": {"told-by-the-attacker"}, "web": {"echoed", ""}}
	call := attacks.Call{Request: "GET /echo?of=told-by-the-attacker"}
	o := only(t, attackertest.Run(t, attack(t, "read-interface"), attackertest.Outside(t), p.Target, attacks.ReadInterface{Call: call, Endpoint: attacks.EndpointMonitoring}))
	mustHold(t, o)
}

func TestTheTargetsOwnPortIsAskedWithALeaf(t *testing.T) {
	s := newStage(t, false)
	o := only(t, attackertest.Run(t, attack(t, "read-interface"), attackertest.Outside(t), s.hardened.Target, attacks.ReadInterface{
		Call: s.call("GET /config_dump"), Leaf: &attacker.Leaf{Of: "thief", Held: s.leaf(s.thief)},
	}))
	mustRefuse(t, o, refusal(attacker.LayerHTTP, 403, notAllowed))
	mustNotHaveServed(t, s.hardened, o)
	n := attackertest.NaiveServer(t)
	mustServe(t, only(t, attackertest.Run(t, attack(t, "read-interface"), attackertest.Outside(t), n.Target, attacks.ReadInterface{
		Call: attacks.Call{Request: "GET /config_dump", Port: n.Port},
	})))
}

func TestAnInterfaceThatCannotBeAskedIsAnError(t *testing.T) {
	s := newAskStage(t)
	p := attackertest.NaiveControlPlane(t, s.ca, attackertest.Protocol{}.Name(), s.names())
	try := func(target attacker.Target, name string, params any) error {
		raw, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		f := attackertest.Outside(t)
		f.Protocols = []attacker.AuthorityProtocol{attackertest.Protocol{}}
		return attack(t, name).Try(t.Context(), f, target, func() string { return "n" }, raw, func(attacker.Observation) {})
	}
	for _, params := range []attacks.ReadInterface{
		{Endpoint: "cellar"}, {Endpoint: attacks.EndpointDebug}, {Endpoint: attacks.EndpointPlatform}, {Endpoint: attacks.EndpointMonitoring, Call: attacks.Call{Port: 1}},
		{Endpoint: attacks.EndpointMonitoring, Forwarded: "nobody"}, {Endpoint: attacks.EndpointMonitoring, Call: attacks.Call{Request: "GET /{nobody.proxy}"}},
		{Endpoint: attacks.EndpointMonitoring, Call: attacks.Call{Request: "GET /{web.shoe}"}}, {Leaf: &attacker.Leaf{}},
		{Endpoint: attacks.EndpointMonitoring, Token: &attacker.Token{Of: "web"}},
	} {
		if err := try(p.Target, "read-interface", params); err == nil {
			t.Errorf("no error for %+v", params)
		}
	}
	for _, params := range []attacks.ActAsProxy{
		{}, {As: "nobody"}, {As: "web", Endpoint: "debug"}, {As: "web", Ask: "all"}, {As: "web", Endpoint: attacks.EndpointXDSPlaintext, Leaf: &attacker.Leaf{Of: "web"}},
	} {
		if err := try(p.Target, "act-as-proxy", params); err == nil {
			t.Errorf("no error for %+v", params)
		}
	}
	// The protocol of this control plane says nothing of proxies.
	if err := try(p.Target, "act-as-proxy", attacks.ActAsProxy{As: "web"}); err == nil || !strings.Contains(err.Error(), "do not ask for configuration by ADS") {
		t.Error(err)
	}
	if err := try(attacker.Target{}, "act-as-proxy", attacks.ActAsProxy{As: "web"}); err == nil || !strings.Contains(err.Error(), "no control plane") {
		t.Error(err)
	}
}
