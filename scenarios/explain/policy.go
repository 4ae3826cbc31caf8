package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// policy describes a policy in sentences.
func (p *prose) policy(indent int, declared policy.Policy) {
	say := func(format string, args ...any) { p.point(indent, format, args...) }
	if declared.MTLS == policy.Permissive {
		say("Plaintext is accepted beside mutual TLS, and carries no identity.")
	} else {
		say("Every caller must use mutual TLS.")
	}
	if len(declared.Plaintext) > 0 {
		say("Plaintext from anyone is accepted on %s.", ports(declared.Plaintext))
	}
	if declared.Open {
		say("Workloads that no rule selects are open.")
	}
	for _, r := range declared.Allow {
		say("%s", rule(r))
	}
	if len(declared.Allow) == 0 && !declared.Open {
		say("No call is allowed.")
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
		out += " on " + ports(r.Ports)
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
		return "Anyone, with or without an identity,"
	case r.From[0] == policy.Anyone:
		return "Any proven identity"
	case r.AccountOnly:
		return "An account named " + strings.Join(r.From, " or ") + " in any namespace"
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
		p.point(indent, "Requests without a valid token are judged by the rest of the rule.")
	}
}

// switches describes the parts of a policy that most policies leave unset.
func switches(p policy.Policy) []string {
	var out []string
	add := func(on bool, text string) {
		if on {
			out = append(out, text)
		}
	}
	add(p.Identity.Leaf > 0, fmt.Sprintf("Leaf certificates live for %s.", time.Duration(p.Identity.Leaf)))
	add(p.Identity.NoRenewal, "Leaf certificates are not renewed.")
	add(p.Tokens != nil && p.Tokens.PublishHMACKey, "The issuer's key set contains a symmetric key.")
	add(p.Tokens != nil && p.Tokens.IgnoreExpiry, "Tokens are accepted up to a day after they expire.")
	add(p.Trust.AcceptExpired, "Expired certificates are accepted.")
	add(p.Trust.AnyTrustDomain, "Identities of any trust domain are accepted.")
	add(p.Trust.OptionalCertificate, "Callers need no certificate.")
	add(len(p.Trust.ExtraRoots) > 0, "These roots are trusted as well: "+strings.Join(p.Trust.ExtraRoots, ", ")+".")
	add(p.Changes.Withhold, "The control plane acknowledges changes and does not send them.")
	add(p.Changes.KeepStreams, "Connections that were open before a change stay open.")
	add(p.Changes.RootInOneStep, "The root is replaced in one step.")
	add(p.Logging.NoAddress, "Proxies do not log the caller's address.")
	add(p.Logging.NoAudit, "Workloads that no rule selects are not audited.")
	add(p.Exposure.AnyDebug, "Every identity may read the control plane's debug endpoints.")
	add(p.Exposure.AnyNode, "The control plane believes the name a proxy gives.")
	add(p.Exposure.AnyConfig, "Every proxy may read the policies of all namespaces.")
	add(p.Exposure.PlaintextXDS, "The control plane also serves configuration without TLS.")
	add(p.Exposure.ViewServices, "An ordinary account may list all services.")
	add(p.Exposure.ProxyAdmin, "The proxies' admin interface is reachable from outside.")
	add(p.Admission.Pipeline, "An ordinary account may create pods, as a pipeline does.")
	add(p.Admission.AuditOnly, "Objects that violate the admission policies are accepted.")
	add(p.Admission.Debug, "An ordinary account may debug pods.")
	add(p.Admission.FailOpen, "While the injector is down, pods that ask for a proxy are created without one.")
	add(p.Admission.Injector, "An ordinary account may change the injection webhooks and namespace labels.")
	add(p.Fetching.Tenant, "An ordinary account may set, in its own namespace, where an issuer's keys are fetched from.")
	add(p.Fetching.Issuer != "", "The control plane may fetch keys from the private address of "+p.Fetching.Issuer+".")
	add(p.Fetching.Private, "The control plane may fetch keys from any private address that is not link-local.")
	return out
}

// ports names ports: "port 1" or "ports 1, 2".
func ports(all []int) string {
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = strconv.Itoa(n)
	}
	if len(out) == 1 {
		return "port " + out[0]
	}
	return "ports " + strings.Join(out, ", ")
}
