package scenarios

import (
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters"
)

// lacking is what an attempt needs and the mesh has not where it runs, with the
// reason. A mesh that has the same everywhere says so in the expectations.
func (p *player) lacking(policy clusters.Policy, a Attempt) []string {
	here, ok := p.stage.mesh.(clusters.Proven)
	if !ok {
		return nil
	}
	able := here.Capabilities()
	var out []string
	if (policy.Identity.Leaf > 0 || policy.Identity.NoRenewal) && !slices.Contains(able, clusters.CanShortLive) {
		out = append(out, string(clusters.CanShortLive)+": how long leaves live is set when a workload starts")
	}
	if foretold(a) && !slices.Contains(able, clusters.CanSignAccounts) {
		out = append(out, string(clusters.CanSignAccounts)+": the platform's key is not ours, and it grants no such life itself")
	}
	if a.Expect[p.opts.Mesh.Name()].By == clusters.PlatformName && !slices.Contains(able, clusters.CanAudit) {
		out = append(out, string(clusters.CanAudit)+": the platform's log is not ours, and its refusals are seen there alone")
	}
	if pod, ok := decoded(a.Attack, a.With).(*attacks.SubmitObject); ok && pod.Proxied && !p.runs() {
		out = append(out, "injector: no node runs pods here, and nothing puts proxies into them")
	}
	return out
}

// unprovable says whether what is missing leaves nothing that could be proven.
// Without the platform's log none of its refusals is, but what it let in and
// ran leaves a receipt.
func unprovable(r assertions.Record) bool {
	b := r.Breach.Reply
	leaves := r.Runs && b != nil && b.Unrun
	return slices.ContainsFunc(r.Missing, func(what string) bool {
		return !leaves || !strings.HasPrefix(what, string(clusters.CanAudit))
	})
}

// foretold says whether an attempt needs an account token with a life that the
// platform would not grant.
func foretold(a Attempt) bool {
	holder, ok := decoded(a.Attack, a.With).(attacker.Holder)
	if !ok {
		return false
	}
	_, tokens := holder.Holds()
	return slices.ContainsFunc(tokens, func(t *attacker.Token) bool { return t.Kind == kindAccount && t.Expires != 0 })
}

// decoded are the parameters of a use of an attack; nil where they cannot be
// read, which whoever makes the attempt will see.
func decoded(name string, with map[string]any) any {
	attack, ok := known(name)
	if !ok {
		return nil
	}
	raw, err := params(with)
	if err != nil {
		return nil
	}
	out, err := attack.Decode(raw)
	if err != nil {
		return nil
	}
	return out
}
