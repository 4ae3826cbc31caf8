package policy

import (
	"net/netip"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
)

// stage is a range with the whole cast, one address each.
func stage() clusters.Range {
	r := clusters.Range{Name: "r1", TrustDomain: "one.test"}
	for i, m := range clusters.Cast() {
		r.Workloads = append(r.Workloads, clusters.Workload{
			Name: m.Name, Range: r.Name, TrustDomain: r.TrustDomain, Namespace: m.Namespace, Account: m.Account,
			Meshed: m.Meshed, Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}),
		})
	}
	return r
}

// charge is the honest call.
func charge() Request {
	return Request{From: "web", To: "bank", Method: "POST", Path: "/v1/charge", Port: clusters.PortHTTP, Withmesh: true}
}

// guarded lets web charge and nothing else.
func guarded() Policy {
	return Policy{Allow: []Rule{{
		From: []string{"web"}, To: "bank", Methods: []string{"POST"}, Paths: []string{"/v1/charge"}, Ports: []int{clusters.PortHTTP},
	}}}
}

// tokened asks web for a token of its own as well.
func tokened() Policy {
	p := guarded()
	p.Tokens = &Tokens{Issuers: []string{"main", "other"}, Audience: "bank"}
	p.Allow[0].Token = &Claim{Issuer: "main", Subject: "web"}
	return p
}

type admission struct {
	name   string
	policy func(*Policy)
	ask    func(*Request)
	want   bool
}

func judge(t *testing.T, base func() Policy, cases []admission) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, q := base(), charge()
			if c.policy != nil {
				c.policy(&p)
			}
			if c.ask != nil {
				c.ask(&q)
			}
			if got := p.Admits(stage(), q); got != c.want {
				t.Errorf("admits %+v: %t, want %t", q, got, c.want)
			}
		})
	}
}

func TestAPolicyAdmitsWhatARuleNamesAndNothingElse(t *testing.T) {
	judge(t, guarded, []admission{
		{"the honest call", nil, nil, true},
		{"with a query", nil, func(q *Request) { q.Path += "?a=b" }, true},
		{"another caller", nil, func(q *Request) { q.From = "thief" }, false},
		{"the same account in another namespace", nil, func(q *Request) { q.From = "staging/web" }, false},
		{"a near-identical name", nil, func(q *Request) { q.From = "lookalike" }, false},
		{"another method", nil, func(q *Request) { q.Method = "DELETE" }, false},
		{"a method in another case", nil, func(q *Request) { q.Method = "post" }, false},
		{"another path", nil, func(q *Request) { q.Path = "/v1/admin" }, false},
		{"a longer path", nil, func(q *Request) { q.Path = "/v1/charge/" }, false},
		{"another port", nil, func(q *Request) { q.Port = clusters.PortAdmin }, false},
		{"a raw connection under a rule with methods", func(p *Policy) { p.Allow[0].Ports = nil },
			func(q *Request) { q.Method, q.Path, q.Port = "", "", clusters.PortTCP }, false},
		{"a raw connection under a rule for its port", func(p *Policy) { p.Allow = []Rule{{From: []string{"web"}, To: "bank", Ports: []int{clusters.PortTCP}}} },
			func(q *Request) { q.Method, q.Path, q.Port = "", "", clusters.PortTCP }, true},
		{"a target that is not there", nil, func(q *Request) { q.To = "nobody" }, false},
		{"a target without a proxy", nil, func(q *Request) { q.To = "sink" }, true},
		{"a second rule", func(p *Policy) { p.Allow = append(p.Allow, Rule{From: []string{"thief"}, To: "bank"}) },
			func(q *Request) { q.From = "thief" }, true},
		{"a rule for another target", func(p *Policy) { p.Allow[0].To = "web" }, nil, false},
		{"the zero policy", func(p *Policy) { *p = Policy{} }, nil, false},
	})
}

func TestWhoCountsAsACallerDependsOnTheTransport(t *testing.T) {
	plain := func(q *Request) { q.Withmesh = false }
	nobody := func(q *Request) { q.From = "" }
	permissive := func(p *Policy) { p.MTLS = Permissive }
	judge(t, guarded, []admission{
		{"plaintext under strict", nil, plain, false},
		{"plaintext under permissive has no identity", permissive, plain, false},
		{"no identity under strict, rule for anybody", func(p *Policy) { p.Allow[0].From = nil }, nobody, false},
		{"plaintext under strict, rule for anybody", func(p *Policy) { p.Allow[0].From = nil }, plain, false},
		{"plaintext under permissive, rule for anybody", func(p *Policy) { permissive(p); p.Allow[0].From = nil }, plain, true},
		{"plaintext under permissive, rule for any identity", func(p *Policy) { permissive(p); p.Allow[0].From = []string{Anyone} }, plain, false},
		{"any identity", func(p *Policy) { p.Allow[0].From = []string{Anyone} }, func(q *Request) { q.From = "thief" }, true},
		{"account alone, other namespace", func(p *Policy) { p.Allow[0].AccountOnly = true }, func(q *Request) { q.From = "staging/web" }, true},
		{"account alone, a caller from elsewhere", func(p *Policy) { p.Allow[0].AccountOnly = true },
			func(q *Request) { q.From, q.Account = "elsewhere", "web" }, true},
		{"account alone, other account", func(p *Policy) { p.Allow[0].AccountOnly = true }, func(q *Request) { q.From = "lookalike" }, false},
		{"health checks in plaintext", func(p *Policy) { p.Plaintext = []int{clusters.PortHealth} },
			func(q *Request) {
				q.From, q.Withmesh, q.Method, q.Path, q.Port = "outsider", false, "GET", "/healthz", clusters.PortHealth
			}, true},
		{"the service in plaintext beside health checks", func(p *Policy) { p.Plaintext = []int{clusters.PortHealth} }, plain, false},
	})
}

func TestAnOpenPolicyAdmitsWhereNoRuleSelects(t *testing.T) {
	open := func() Policy { return Policy{Open: true} }
	judge(t, open, []admission{
		{"no rule", nil, func(q *Request) { q.From = "thief" }, true},
		{"no rule, plaintext under strict", nil, func(q *Request) { q.Withmesh = false }, false},
		{"a rule for the target", func(p *Policy) { p.Allow = guarded().Allow }, func(q *Request) { q.From = "thief" }, false},
		{"a rule for another", func(p *Policy) { p.Allow = []Rule{{To: "web"}} }, func(q *Request) { q.From = "thief" }, true},
	})
}

func TestATokenIsNeededBesideTheIdentity(t *testing.T) {
	with := func(subject, issuer string) func(*Request) {
		return func(q *Request) { q.Subject, q.Issuer = subject, issuer }
	}
	judge(t, tokened, []admission{
		{"own token", nil, with("web", "main"), true},
		{"own token, issuer unsaid", nil, with("web", ""), true},
		{"no token", nil, nil, false},
		{"another's token", nil, with("thief", "main"), false},
		{"a replayed token", nil, func(q *Request) { q.From, q.Subject = "thief", "web" }, false},
		{"another trusted issuer", nil, with("web", "other"), false},
		{"an unknown issuer", nil, with("web", "nobody"), false},
		{"another trusted issuer, issuer not compared", func(p *Policy) { p.Allow[0].Token.Issuer = "" }, with("web", "other"), true},
		{"an unknown issuer, issuer not compared", func(p *Policy) { p.Allow[0].Token.Issuer = "" }, with("web", "nobody"), false},
		{"another's token, subject not compared", func(p *Policy) { p.Allow[0].Token.Subject = "" }, with("thief", "main"), true},
		{"no token where it is optional", func(p *Policy) { p.Tokens.Optional = true }, nil, true},
		{"a wrong token where it is optional", func(p *Policy) { p.Tokens.Optional = true }, with("web", "nobody"), true},
		{"no token under a rule without one", func(p *Policy) { p.Allow[0].Token = nil }, nil, true},
		{"a wrong token under a rule without one", func(p *Policy) { p.Allow[0].Token = nil }, with("web", "nobody"), false},
		{"own token that nobody verifies", func(p *Policy) { p.Tokens = nil }, with("web", "main"), false},
		{"own token, verified elsewhere only", func(p *Policy) { p.Tokens.At = []string{"web"} }, with("web", "main"), false},
		{"own token, verified here by name", func(p *Policy) { p.Tokens.At = []string{"bank"} }, with("web", "main"), true},
	})
}
