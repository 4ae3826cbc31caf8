package runner

import (
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/scenarios"
)

// lacking is what an attempt needs and the mesh has not where it runs, with the
// reason. A mesh that has the same everywhere says so in the expectations.
func (p *player) lacking(policy policy.Policy, a scenarios.Attempt) []string {
	var out []string
	if takesAuthority(a) {
		if _, err := p.stage.mesh.Authority(p.rg); err != nil {
			out = append(out, "authority: "+err.Error())
		}
	}
	here, ok := p.stage.mesh.(meshes.Proven)
	if !ok {
		return out
	}
	able := here.Capabilities()
	if (policy.Identity.Leaf > 0 || policy.Identity.NoRenewal) && !slices.Contains(able, meshes.CanShortLive) {
		out = append(out, string(meshes.CanShortLive)+": how long leaves live is set when a workload starts")
	}
	if foretold(a) && !slices.Contains(able, meshes.CanSignAccounts) {
		out = append(out, string(meshes.CanSignAccounts)+": the platform's key is not ours, and it grants no such life itself")
	}
	if a.Expect[p.opts.Mesh.Describe().Name].By == signals.FromPlatform && !slices.Contains(able, meshes.CanAudit) {
		out = append(out, string(meshes.CanAudit)+": the platform's log is not ours, and its refusals are seen there alone")
	}
	if pod, ok := scenarios.DecodedParameters(a.Attack, a.With).(attacker.InjectorUser); ok && pod.NeedsInjector() && !p.runs() {
		out = append(out, "injector: no node runs pods here, and nothing puts proxies into them")
	}
	return out
}

// takesAuthority says whether an attempt needs a leaf or a token that the
// fixture mints or copies, or a change of what leaves come from.
func takesAuthority(a scenarios.Attempt) bool {
	if slices.ContainsFunc(a.Steps, func(s scenarios.Step) bool { return s.Rotate != "" }) {
		return true
	}
	holder, ok := scenarios.DecodedParameters(a.Attack, a.With).(attacker.LootUser)
	if !ok {
		return false
	}
	leaves, tokens := holder.Loot()
	return slices.ContainsFunc(leaves, func(l *attacker.Leaf) bool { return l.Of != "" }) ||
		slices.ContainsFunc(tokens, func(t *attacker.Token) bool { return t.Kind != scenarios.KindAccount })
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

// foretold says whether an attempt needs an account token with a life that the
// platform would not grant.
func foretold(a scenarios.Attempt) bool {
	holder, ok := scenarios.DecodedParameters(a.Attack, a.With).(attacker.LootUser)
	if !ok {
		return false
	}
	_, tokens := holder.Loot()
	return slices.ContainsFunc(tokens, func(t *attacker.Token) bool { return t.Kind == scenarios.KindAccount && t.Expires != 0 })
}
