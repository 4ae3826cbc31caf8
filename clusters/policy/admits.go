package policy

import (
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
)

// IssuerMain is the issuer that tokens come from when nobody says otherwise.
const IssuerMain = "main"

// Anyone is, in a rule's From, whoever proved an identity.
const Anyone = "*"

// A Request is what Admits is asked about.
type Request struct {
	From     string // cast name, empty for a caller without identity
	To       string
	Method   string
	Path     string
	Port     int
	Subject  string // of a verified token, a cast name; empty without a token
	Issuer   string
	Account  string // account name of From
	Withmesh bool   // the call carries mutual TLS
}

// Admits says whether the policy, once it has settled everywhere, lets a
// request through to the application. It is the reference that meshes are held
// to, so it knows no mesh: it reads the rules as Policy's comments state them.
//
// A subject in the request is that of a token that verifies, but for its
// issuer, which Admits looks up itself. What is in front of nobody is admitted:
// a target without a proxy enforces nothing.
func (p Policy) Admits(r clusters.Range, q Request) bool {
	to, err := r.Workload(q.To)
	if err != nil {
		return false
	}
	if !to.Meshed || slices.Contains(p.Plaintext, q.Port) {
		return true
	}
	if !q.proven() && !p.takesUnproven(q) {
		return false
	}
	if !p.takesToken(q) {
		return false
	}
	selected := false
	for _, rule := range p.Allow {
		if rule.To != q.To {
			continue
		}
		selected = true
		if rule.names(r, q) && rule.covers(q) && p.claims(rule, q) {
			return true
		}
	}
	return p.Open && !selected
}

// proven: a caller without mutual TLS has no identity, whoever it is.
func (q Request) proven() bool { return q.Withmesh && q.From != "" }

// takesUnproven: plaintext needs the permissive mode, and TLS without a
// certificate is another mistake.
func (p Policy) takesUnproven(q Request) bool {
	if q.Withmesh {
		return p.Trust.OptionalCertificate
	}
	return p.MTLS == Permissive
}

func (q Request) issuer() string {
	if q.Issuer == "" {
		return IssuerMain
	}
	return q.Issuer
}

// Verifies says whether a target's proxy looks at bearer tokens.
func (p Policy) Verifies(target string) bool {
	switch {
	case p.Tokens == nil:
		return false
	case len(p.Tokens.At) > 0:
		return slices.Contains(p.Tokens.At, target)
	default:
		return slices.ContainsFunc(p.Allow, func(r Rule) bool { return r.To == target })
	}
}

// takesToken is false where a token is refused whatever the rules say.
func (p Policy) takesToken(q Request) bool {
	return q.Subject == "" || !p.Verifies(q.To) || p.Tokens.Optional || p.trusts(q)
}

func (p Policy) trusts(q Request) bool { return slices.Contains(p.Tokens.Issuers, q.issuer()) }

// claims says whether a request has the token that a rule asks for.
func (p Policy) claims(rule Rule, q Request) bool {
	if rule.Token == nil {
		return true
	}
	if !p.Verifies(q.To) {
		return false // nobody could have verified one
	}
	if q.Subject == "" || !p.trusts(q) {
		return p.Tokens.Optional
	}
	return (rule.Token.Issuer == "" || rule.Token.Issuer == q.issuer()) &&
		(rule.Token.Subject == "" || rule.Token.Subject == q.Subject)
}

// names says whether a rule's From has the caller.
func (rule Rule) names(r clusters.Range, q Request) bool {
	if len(rule.From) == 0 {
		return true
	}
	if !q.proven() {
		return false
	}
	return slices.ContainsFunc(rule.From, func(from string) bool {
		return from == Anyone || from == q.From || rule.AccountOnly && sameAccount(r, from, q)
	})
}

func sameAccount(r clusters.Range, from string, q Request) bool {
	named, err := r.Workload(from)
	if err != nil {
		return false
	}
	account := q.Account
	if caller, err := r.Workload(q.From); err == nil {
		account = caller.Account
	}
	return account == named.Account
}

// covers says whether a rule has the request's method, path and port. A raw TCP
// connection has no method and no path, so a rule that names any never has it.
func (rule Rule) covers(q Request) bool {
	path, _, _ := strings.Cut(q.Path, "?")
	return allows(rule.Methods, q.Method) && allows(rule.Paths, path) && allows(rule.Ports, q.Port)
}

// allows says whether a list, of which empty means all, has a value.
func allows[T comparable](list []T, v T) bool {
	return len(list) == 0 || slices.Contains(list, v)
}
