package istio

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// expected is what has to be seen in a sidecar's listener before a policy is
// settled. It is read off the rendered objects and compared with what istiod
// made of them.
type expected struct {
	ruleVersion string   // of the rules; empty where all is allowed
	permissive  bool     // plaintext is taken on all ports
	plaintext   []int    // ports that take nothing else
	issuers     []string // issuer, audience and keys of each, sorted
	skew        int      // seconds of it, beyond the default
	trust       *tlsValidation
	lax         bool // callers take expired servers
}

// A tlsValidation is how certificates are verified, where that is not as istiod
// would have it.
type tlsValidation struct {
	demanded, expired bool
	prefix, roots     string
}

func expectedOf(r clusters.Range, p policy.Policy, w clusters.Workload, objects []rendered) expected {
	out := expected{permissive: p.MTLS == policy.Permissive}
	for _, o := range objects {
		if o.workload == w.Name && o.object["kind"] == "AuthorizationPolicy" {
			out.ruleVersion = ruleVersionIn(o.object["spec"])
		}
	}
	if w.Serves() {
		out.plaintext = slices.Compact(slices.Sorted(slices.Values(p.Plaintext)))
	}
	if p.Verifies(w.Name) {
		for _, name := range p.Tokens.Issuers {
			url, keys, err := issuer(r, *p.Tokens, name)
			if err != nil {
				continue // it has been rendered, so there is none
			}
			out.issuers = append(out.issuers, fmt.Sprintf("%s %s %s", url, p.Tokens.Audience, keys))
		}
		slices.Sort(out.issuers)
		if p.Tokens.IgnoreExpiry {
			out.skew = skewWide
		}
	}
	if t := p.Trust; t.AcceptExpired || t.AnyTrustDomain || t.OptionalCertificate || len(t.ExtraRoots) > 0 {
		out.lax = t.AcceptExpired
		out.trust = &tlsValidation{demanded: !t.OptionalCertificate, expired: t.AcceptExpired}
		if context, err := validation(r, t); err == nil {
			ca, _ := context["trusted_ca"].(map[string]any)
			out.trust.roots, _ = ca["inline_string"].(string)
		}
		switch {
		case t.OptionalCertificate:
		case t.AnyTrustDomain:
			out.trust.prefix = "spiffe://"
		default:
			out.trust.prefix = "spiffe://" + r.TrustDomain + "/"
		}
	}
	return out
}

// ruleVersionIn finds the address of the last rule.
func ruleVersionIn(spec any) string {
	s, _ := spec.(map[string]any)
	rules, _ := s["rules"].([]any)
	if len(rules) == 0 {
		return ""
	}
	last, _ := rules[len(rules)-1].(map[string]any)
	from, _ := last["from"].([]any)
	for _, f := range from {
		one, _ := f.(map[string]any)
		is, _ := one["source"].(map[string]any)
		if blocks, _ := is["ipBlocks"].([]string); len(blocks) == 1 {
			return blocks[0]
		}
	}
	return ""
}

// missing says what of the expected is not in a listener.
func (e expected) missing(l activeListener) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if versions := slices.Sorted(maps.Keys(l.ruleVersions)); e.ruleVersion == "" && len(versions) > 0 || e.ruleVersion != "" && !slices.Equal(versions, []string{e.ruleVersion}) {
		say("its rules have the versions %v instead of %q", versions, e.ruleVersion)
	}
	if l.clear != e.permissive {
		say("it takes plaintext: %t instead of %t", l.clear, e.permissive)
	}
	for _, port := range e.plaintext {
		if !slices.Contains(l.clearPorts, port) || slices.Contains(l.tlsPorts, port) {
			say("port %d is not plaintext alone", port)
		}
	}
	for _, port := range l.clearPorts {
		if !e.permissive && !slices.Contains(e.plaintext, port) {
			say("port %d takes plaintext", port)
		}
	}
	if !slices.Equal(l.issuers, e.issuers) {
		say("it trusts %d issuers that differ from the %d expected", len(l.issuers), len(e.issuers))
	}
	if l.skew != e.skew && len(e.issuers) > 0 {
		say("tokens have a skew of %d s instead of %d", l.skew, e.skew)
	}
	switch {
	case e.trust == nil && len(l.trusts) > 0:
		say("certificates are verified by a patch")
	case e.trust != nil && (len(l.trusts) != 1 || l.trusts[0] != *e.trust || l.plainTrust):
		say("certificates are not verified by the patch alone")
	}
	return out
}
