package runner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
)

// A prepared attempt is one with all decided that can be decided before
// anything is done. It can be made any number of times.
type prepared struct {
	scenario scenarios.Scenario
	attempt  scenarios.Attempt
	policy   policy.Policy     // misconfigured
	record   assertions.Record // what is known of it so far
	hopeless bool              // the record says why making it would prove nothing

	control        call // the friend's honest call
	twin, attack   *call
	steps, restore []step
}

// A call is a use of an attack, with its parameters decoded.
type call struct {
	role, from, target string
	attack             attacker.Attack
	params             any               // as the attack decodes them
	raw                json.RawMessage   // the same, as they travel
	leaves             []*attacker.Leaf  // in params; each call gets new ones
	tokens             []*attacker.Token // likewise
	lasts              bool              // it runs until it is stopped
	showsAt            string            // where alone a receipt shows its effect; anywhere when empty
}

// A step is a change that is made while an attempt runs.
type step struct {
	scenarios.Step
	policy policy.Policy // that Apply asks for, misconfigured
}

// prepare decodes the parameters of an attempt, misconfigures its policies and
// finds out what it needs and the mesh does not have here.
func (r *rangeRunner) prepare(s scenarios.Scenario, a scenarios.Attempt, misconfigure []string) prepared {
	mesh := r.opts.Mesh.Describe().Name
	p := prepared{scenario: s, attempt: a, record: assertions.Record{
		Scenario: s.ID, Attempt: a.ID, Mesh: mesh, Target: s.Cast.Target, Expect: a.Expect[mesh].For(r.opts.Release.Version), Breach: a.BreachOf(), Runs: r.env.runsPods(r.Range),
		Tries: assertions.Call{Role: assertions.RoleAttempt, From: s.From(a), Attack: a.Attack},
	}}
	if _, ok := a.Expect[mesh]; !ok {
		p.record.Expect = assertions.Expectation{Verdict: assertions.Unsupported, Because: "the scenario says nothing of mesh " + mesh}
	}
	if p.record.Expect.Verdict == assertions.Unsupported {
		p.record.Misconfigured, p.hopeless = misconfigure, true
		return p
	}
	if err := p.decode(r.opts.Attacks); err != nil {
		fault(&p.record, "%v", err)
		p.hopeless = true
	}
	return r.misconfigured(p, misconfigure)
}

// decode decodes the parameters of every call.
func (p *prepared) decode(all []attacker.Attack) error {
	s, a := p.scenario, p.attempt
	var err error
	honest := s.Honest()
	if p.control, err = decode(all, assertions.RoleControl, s.Cast.Friend, s.Cast.Target, honest.Attack, honest.With); err != nil || a.Attack == "" {
		return err
	}
	attack, err := decode(all, assertions.RoleAttempt, s.From(a), s.Cast.Target, a.Attack, a.With)
	if err != nil {
		return err
	}
	attack.showsAt = a.BreachOf().Place(s.Cast.Target)
	p.attack = &attack
	benign := scenarios.Call{Attack: a.Attack}
	if c := s.TwinOf(a); c != nil {
		benign = *c
	}
	if benign.Attack != a.Attack {
		p.record.TwinAttack = benign.Attack
	}
	twin, err := decode(all, assertions.RoleTwin, s.From(a), s.Cast.Target, benign.Attack, benign.With)
	p.twin = &twin
	return err
}

func decode(all []attacker.Attack, role, from, target, name string, with map[string]any) (call, error) {
	c := call{role: role, from: from, target: target}
	i := slices.IndexFunc(all, func(a attacker.Attack) bool { return a.Name() == name })
	if i < 0 {
		return c, fmt.Errorf("no attack %q", name)
	}
	c.attack = all[i]
	var err error
	if c.raw, err = scenarios.EncodeParameters(with); err != nil {
		return c, err
	}
	if c.params, err = c.attack.Decode(c.raw); err != nil {
		return c, err
	}
	if holder, ok := c.params.(attacker.LootUser); ok {
		c.leaves, c.tokens = holder.Loot()
	}
	lasting, ok := c.params.(attacker.Lasting)
	c.lasts = ok && lasting.Lasts()
	return c, nil
}

// misconfigured is the attempt with its policies misconfigured in this way, and
// no other.
func (r *rangeRunner) misconfigured(p prepared, names []string) prepared {
	if p.hopeless {
		return p
	}
	var err error
	p.record.Misconfigured = names
	p.policy, err = policy.Misconfigure(p.scenario.PolicyOf(p.attempt), names...)
	// What is withheld is a change; there has to be something to change from.
	p.policy.Changes.Withhold = false
	if err == nil {
		p.steps, err = steps(p.attempt.Steps, names)
	}
	if err == nil {
		p.restore, err = steps(p.attempt.Restore, names)
	}
	if err != nil {
		fault(&p.record, "%v", err)
		p.hopeless = true
		return p
	}
	p.record.Missing = r.missing(p)
	p.hopeless = unprovable(p.record)
	return p
}

func steps(all []scenarios.Step, names []string) ([]step, error) {
	var out []step
	for _, s := range all {
		next := step{Step: s}
		if s.Apply != nil {
			var err error
			if next.policy, err = policy.Misconfigure(*s.Apply, names...); err != nil {
				return nil, err
			}
		}
		out = append(out, next)
	}
	return out, nil
}

// missing is what an attempt needs and the mesh does not have where it runs,
// with the reason. What a mesh has nowhere is in the expectations.
func (r *rangeRunner) missing(p prepared) []string {
	var out []string
	if p.takesAuthority() {
		if _, err := r.env.mesh.Authority(r.Range); err != nil {
			out = append(out, "authority: "+err.Error())
		}
	}
	here, ok := r.env.mesh.(meshes.Proven)
	if !ok {
		return out
	}
	able := here.Capabilities()
	if (p.policy.Identity.Leaf > 0 || p.policy.Identity.NoRenewal) && !slices.Contains(able, meshes.CanShortLive) {
		out = append(out, string(meshes.CanShortLive)+": how long leaves live is set when a workload starts")
	}
	if p.attack.forged() && !slices.Contains(able, meshes.CanSignAccounts) {
		out = append(out, string(meshes.CanSignAccounts)+": the platform's key is not ours, and it grants no such life itself")
	}
	if p.record.Expect.By == signals.FromPlatform && !slices.Contains(able, meshes.CanAudit) {
		out = append(out, string(meshes.CanAudit)+": the platform's log is not ours, and its refusals are seen there alone")
	}
	if p.attack.wantsProxy() && !p.record.Runs {
		out = append(out, "injector: no node runs pods here, and nothing puts proxies into them")
	}
	return out
}

// takesAuthority says whether an attempt needs a leaf or a token that the fixture
// mints or copies, or a change of what leaves come from.
func (p prepared) takesAuthority() bool {
	if slices.ContainsFunc(p.steps, func(s step) bool { return s.Rotate != "" }) {
		return true
	}
	return p.attack != nil &&
		(slices.ContainsFunc(p.attack.leaves, func(l *attacker.Leaf) bool { return l.Of != "" }) ||
			slices.ContainsFunc(p.attack.tokens, func(t *attacker.Token) bool { return t.Kind != scenarios.KindAccount }))
}

// forged says whether a call needs an account token with a life that the
// platform would not grant.
func (c *call) forged() bool {
	return c != nil && slices.ContainsFunc(c.tokens, func(t *attacker.Token) bool { return t.Kind == scenarios.KindAccount && t.Expires != 0 })
}

// wantsProxy says whether a call submits a pod that asks for a proxy.
func (c *call) wantsProxy() bool {
	if c == nil {
		return false
	}
	pod, ok := c.params.(attacker.InjectorUser)
	return ok && pod.NeedsInjector()
}

// unprovable says whether what is missing leaves nothing that could be proven.
// Without the platform's log none of its refusals is, but what it let in and
// ran leaves a receipt.
func unprovable(r assertions.Record) bool {
	b := r.Breach.Reply
	leaves := r.Runs && b != nil && b.Unrun
	return slices.ContainsFunc(r.Missing, func(what string) bool {
		return !leaves || !strings.HasPrefix(what, string(meshes.CanAudit))
	})
}
