package istio

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// want is what has to be seen in a sidecar's listener before a policy is
// settled. It is read off the rendered objects and compared with what istiod
// made of them.
type want struct {
	mark       string   // of the rules; empty where all is allowed
	permissive bool     // plaintext is taken on all ports
	plaintext  []int    // ports that take nothing else
	issuers    []string // issuer, audience and keys of each, sorted
	skew       int      // seconds of it, beyond the default
	trust      *shownTLS
	lax        bool // callers take expired servers
}

// A shownTLS is how certificates are verified, where that is not as istiod
// would have it.
type shownTLS struct {
	demanded, expired bool
	prefix, roots     string
}

func wanted(r clusters.Range, p policy.Policy, w clusters.Workload, objects []placed) want {
	out := want{permissive: p.MTLS == policy.Permissive}
	for _, o := range objects {
		if o.workload == w.Name && o.object["kind"] == "AuthorizationPolicy" {
			out.mark = markIn(o.object["spec"])
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
		out.trust = &shownTLS{demanded: !t.OptionalCertificate, expired: t.AcceptExpired}
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

// markIn finds the address of the last rule.
func markIn(spec any) string {
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

// missing says what of the wanted is not in a listener.
func (w want) missing(l shownListener) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if marks := slices.Sorted(maps.Keys(l.marks)); w.mark == "" && len(marks) > 0 || w.mark != "" && !slices.Equal(marks, []string{w.mark}) {
		say("its rules are marked %v instead of %q", marks, w.mark)
	}
	if l.clear != w.permissive {
		say("it takes plaintext: %t instead of %t", l.clear, w.permissive)
	}
	for _, port := range w.plaintext {
		if !slices.Contains(l.clearPorts, port) || slices.Contains(l.tlsPorts, port) {
			say("port %d is not plaintext alone", port)
		}
	}
	for _, port := range l.clearPorts {
		if !w.permissive && !slices.Contains(w.plaintext, port) {
			say("port %d takes plaintext", port)
		}
	}
	if !slices.Equal(l.issuers, w.issuers) {
		say("it trusts %d issuers that differ from the %d wanted", len(l.issuers), len(w.issuers))
	}
	if l.skew != w.skew && len(w.issuers) > 0 {
		say("tokens have a skew of %d s instead of %d", l.skew, w.skew)
	}
	switch {
	case w.trust == nil && len(l.trusts) > 0:
		say("certificates are verified by a patch")
	case w.trust != nil && (len(l.trusts) != 1 || l.trusts[0] != *w.trust || l.plainTrust):
		say("certificates are not verified by the patch alone")
	}
	return out
}
