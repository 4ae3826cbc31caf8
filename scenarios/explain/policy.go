package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// policy says a policy in sentences.
func (p *prose) policy(indent int, declared policy.Policy) {
	say := func(format string, args ...any) { p.point(indent, format, args...) }
	if declared.MTLS == policy.Permissive {
		say("Plaintext is taken beside mutual TLS, and has no identity.")
	} else {
		say("Mutual TLS is demanded of every caller.")
	}
	if len(declared.Plaintext) > 0 {
		say("Ports %s take plaintext from anybody.", numbers(declared.Plaintext))
	}
	if declared.Open {
		say("What no rule selects is open.")
	}
	for _, r := range declared.Allow {
		say("%s", rule(r))
	}
	if len(declared.Allow) == 0 && !declared.Open {
		say("Nobody is allowed anything.")
	}
	p.tokens(indent, declared.Tokens)
	for _, s := range switches(declared) {
		say("%s", s)
	}
}

func rule(r policy.Rule) string {
	out := callers(r) + " may "
	if len(r.Methods) > 0 {
		out += strings.Join(r.Methods, " or ") + " "
	} else {
		out += "call "
	}
	if len(r.Paths) > 0 {
		out += strings.Join(r.Paths, " or ")
	} else {
		out += "any path"
	}
	if len(r.Ports) > 0 {
		out += " on port " + numbers(r.Ports)
	} else {
		out += " on any port"
	}
	out += " of " + r.To
	if r.Token != nil {
		out += ", with " + claim(*r.Token)
	}
	return out + "."
}

func callers(r policy.Rule) string {
	switch {
	case len(r.From) == 0:
		return "Anybody, proven or not,"
	case r.From[0] == policy.Anyone:
		return "Any proven identity"
	case r.AccountOnly:
		return "An account of the name of " + strings.Join(r.From, " or ") + ", in any namespace,"
	}
	return strings.Join(r.From, " and ")
}

func claim(c policy.Claim) string {
	out := "a token"
	if c.Subject != "" {
		out += " of " + c.Subject
	}
	if c.Issuer != "" {
		out += " from issuer " + c.Issuer
	}
	return out
}

func (p *prose) tokens(indent int, t *policy.Tokens) {
	if t == nil {
		return
	}
	at := "the targets of the rules"
	if len(t.At) > 0 {
		at = strings.Join(t.At, ", ")
	}
	audience := "any audience"
	if t.Audience != "" {
		audience = "audience " + t.Audience
	}
	p.point(indent, "Tokens from %s for %s are verified at %s.", strings.Join(t.Issuers, ", "), audience, at)
	if t.Optional {
		p.point(indent, "Requests without a valid token pass on the rest of the rule.")
	}
}

// switches are the parts of a policy that most policies leave alone.
func switches(p policy.Policy) []string {
	var out []string
	add := func(on bool, text string) {
		if on {
			out = append(out, text)
		}
	}
	add(p.Identity.Leaf > 0, fmt.Sprintf("Leaves live for %s.", time.Duration(p.Identity.Leaf)))
	add(p.Identity.NoRenewal, "Leaves are not renewed.")
	add(p.Tokens != nil && p.Tokens.PublishHMACKey, "A symmetric key is published with the issuer's keys.")
	add(p.Tokens != nil && p.Tokens.IgnoreExpiry, "A token is taken a day after its end.")
	add(p.Trust.AcceptExpired, "Expired certificates are accepted.")
	add(p.Trust.AnyTrustDomain, "Any trust domain is accepted.")
	add(p.Trust.OptionalCertificate, "A certificate need not be shown.")
	add(len(p.Trust.ExtraRoots) > 0, "These roots are trusted as well: "+strings.Join(p.Trust.ExtraRoots, ", ")+".")
	add(p.Changes.Withhold, "The control plane acknowledges changes and sends nothing.")
	add(p.Changes.KeepStreams, "What was open before a change stays open.")
	add(p.Changes.RootInOneStep, "A root is swapped in one step.")
	add(p.Logging.NoAddress, "Proxies do not log the caller's address.")
	add(p.Logging.NoAudit, "Nobody audits which targets no rule selects.")
	add(p.Exposure.AnyDebug, "The control plane's debugging paths are open to every identity.")
	add(p.Exposure.AnyNode, "A proxy is whose it says it is.")
	add(p.Exposure.AnyConfig, "Every proxy may read all policies.")
	add(p.Exposure.PlaintextXDS, "Configuration is also given without TLS.")
	add(p.Exposure.ViewServices, "An ordinary account may list all services.")
	add(p.Exposure.ProxyAdmin, "The proxies' administration is led to from outside.")
	add(p.Admission.Pipeline, "An ordinary account may make pods, as a pipeline does.")
	add(p.Admission.AuditOnly, "What is against the rules of admission is let in.")
	add(p.Admission.Debug, "An ordinary account may debug pods.")
	add(p.Admission.FailOpen, "A pod that asks for a proxy is let in without one while the injector is away.")
	add(p.Admission.Injector, "An ordinary account may change what puts proxies into pods.")
	add(p.Fetching.Tenant, "An ordinary account may say, in its own namespace, where the keys of an issuer are.")
	add(p.Fetching.Issuer != "", "The control plane fetches from the address of "+p.Fetching.Issuer+" though it is private.")
	add(p.Fetching.Private, "The control plane fetches from every private address that is not link-local.")
	return out
}

func numbers(all []int) string {
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = fmt.Sprint(n)
	}
	return strings.Join(out, ", ")
}
