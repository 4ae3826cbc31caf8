package scenarios

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
	"github.com/meshbreach/meshbreach/suggest"
)

// linter checks what the types cannot: that names exist and that an attempt
// can prove something.
type linter struct {
	rules  Rules
	file   string
	places places
	found  []*Problem
}

// say notes what is wrong with the value at a trail.
func (l *linter) say(at trail, format string, args ...any) {
	line, column := l.places.value(at)
	l.found = append(l.found, &Problem{l.file, line, column, fmt.Sprintf(format, args...)})
}

// misnamed notes what is wrong with the name of the field at a trail.
func (l *linter) misnamed(at trail, format string, args ...any) {
	line, column := l.places.key(at)
	l.found = append(l.found, &Problem{l.file, line, column, fmt.Sprintf(format, args...)})
}

// known says so unless name is one of names.
func (l *linter) known(at trail, what, name string, names ...string) bool {
	if slices.Contains(names, name) {
		return true
	}
	l.say(at, "unknown %s %q%s", what, name, suggest.Text(name, names))
	return false
}

func (l *linter) scenario(s Scenario) {
	root := trail{}
	for _, f := range []struct{ name, value string }{{"id", s.ID}, {"title", s.Title}, {"why", s.Why}} {
		if strings.TrimSpace(f.value) == "" {
			l.say(root.at(f.name), "%s is missing", f.name)
		}
	}
	l.known(root.at("pillar"), "pillar", s.Pillar, "policy", "rotation", "detection")
	l.known(root.at("severity"), "severity", s.Severity, "low", "medium", "high", "critical")
	l.known(root.at("cast", "friend"), "cast member", s.Cast.Friend, CastNames()...)
	l.known(root.at("cast", "foe"), "cast member", s.Cast.Foe, CastNames()...)
	l.known(root.at("cast", "target"), "cast member", s.Cast.Target, CastNames()...)
	l.policy(root.at("policy"), s.Policy)
	if s.Control != nil {
		l.call(root.at("control"), s.Control.Attack, s.Control.With)
	}
	if len(s.Attempts) == 0 {
		l.say(root.at("attempts"), "a scenario has attempts")
	}
	if len(s.Maps) == 0 {
		l.say(root.at("maps"), "maps is missing: which framework names this")
	}
	var ids []string
	for i, a := range s.Attempts {
		at := root.at("attempts", i)
		if slices.Contains(ids, a.ID) {
			l.say(at.at("id"), "attempt %q is there twice", a.ID)
		}
		ids = append(ids, a.ID)
		l.attempt(at, s, a)
	}
	l.mutants(root.at("mutants"), s, ids)
}

func (l *linter) attempt(at trail, s Scenario, a Attempt) {
	if a.ID == "" {
		l.say(at, "an attempt has an id")
	}
	if a.From != "" {
		l.known(at.at("from"), "cast member", a.From, CastNames()...)
	}
	if a.Policy != nil {
		l.policy(at.at("policy"), *a.Policy)
	}
	if b := a.Breach; b != nil && b.ReceiptAt != "" {
		l.known(at.at("breach", "receiptAt"), "cast member", b.ReceiptAt, append(CastNames(), "target")...)
	}
	l.told(at.at("breach"), a)
	l.steps(at.at("steps"), a.Steps)
	l.steps(at.at("restore"), a.Restore)
	for _, mesh := range l.rules.Reference {
		if _, ok := a.Expect[mesh]; !ok {
			l.say(at.at("id"), "attempt %q says nothing of mesh %s", a.ID, mesh)
		}
	}
	for _, mesh := range slices.Sorted(maps.Keys(a.Expect)) {
		l.mesh(at.at("expect", mesh), mesh)
		l.expectation(at.at("expect", mesh), a.Expect[mesh].Expectation)
	}
	switch {
	case a.Attack == "" && len(a.Steps) == 0:
		l.say(at.at("id"), "attempt %q has neither an attack nor steps", a.ID)
	case a.Attack == "":
	case a.Twin == nil && s.Twin == nil:
		l.say(at.at("id"), "attempt %q has no twin", a.ID)
		l.call(at, a.Attack, a.With)
	default:
		if a.TwinAttack != "" && a.Twin == nil {
			l.say(at.at("twinAttack"), "twinAttack goes with a twin, which holds all parameters of that attack")
		}
		twin := at.at("twin")
		if a.Twin == nil {
			twin = trail{"twin"}
		}
		l.pair(at, twin, s, a)
	}
}

func (l *linter) steps(at trail, steps []Step) {
	for i, step := range steps {
		at := at.at(i)
		if n := count(step.Apply != nil, step.Rotate != "", step.Await != "", step.Delete != "", step.Recreate != ""); n != 1 {
			l.say(at, "step %d says %d things; it takes one of apply, rotate, await, delete, recreate", i+1, n)
		}
		if step.Apply != nil {
			l.policy(at.at("apply"), *step.Apply)
		}
		if step.Rotate != "" {
			l.known(at.at("rotate"), "rotation", string(step.Rotate), rotations()...)
		}
		l.life(at, step)
		if step.Await != "" {
			l.known(at.at("await"), "moment to await", step.Await, "expiry", "half-life", "renewal", "validity")
		}
	}
}

// mesh finds misspelt meshes. Another one is fine: a mesh may come from
// elsewhere.
func (l *linter) mesh(at trail, name string) {
	if near := suggest.Text(name, l.rules.Meshes); near != "" {
		l.misnamed(at, "unknown mesh %q%s", name, near)
	}
}

func (l *linter) expectation(at trail, e assertions.Expectation) {
	switch e.Verdict {
	case assertions.Blocked:
		l.refusal(at.at("blocked"), e)
		if e.After && (e.By != signals.FromAuthority || e.Code != 0) {
			l.say(at.at("blocked"), "after is for what the authority refuses when the attacker was answered already, who therefore sees no code of it")
		}
	case assertions.Breached:
		if e.CVE != nil {
			l.cve(at.at("known-cve"), e)
		}
		if e.Gap && !e.Silent {
			l.known(at.at("gap", "alert"), "alert", e.Alert, l.rules.alerts()...)
		}
		if e.Silent && e.Because == "" {
			l.say(at.at("gap"), "a silent gap says because of what no detector can see it")
		}
	case assertions.Undisturbed, assertions.Unsupported:
	case "":
		l.say(at, "an expectation names one of blocked, gap, known-cve, breached, unsupported")
	default:
		l.say(at, "an expectation is breached, undisturbed, {blocked: ...}, {gap: ...}, {known-cve: ...} or {unsupported: why}, not %q%s",
			e.Verdict, suggest.Text(string(e.Verdict), []string{"breached", "undisturbed"}))
	}
}

// refusal checks whose refusal is expected, and why.
func (l *linter) refusal(at trail, e assertions.Expectation) {
	l.known(at.at("by"), "side", e.By, "target", "source", signals.FromAuthority, signals.FromPlatform, assertions.SidePeer)
	l.known(at.at("layer"), "layer", e.Layer, "tls", "tcp", "http", "grpc", signals.LayerCA)
	if e.Reason == "" {
		l.say(at, "%s names no reason: a refusal for any other reason proves nothing", at[len(at)-1])
	}
}

// cve checks a known vulnerability and what fixed releases do.
func (l *linter) cve(at trail, e assertions.Expectation) {
	if err := e.CVE.Check(); err != nil {
		l.say(at, "%s", err)
	}
	if e.Because == "" {
		l.say(at, "a known CVE says because of what the attempt wins")
	}
	if e.Alert != "" {
		l.known(at.at("alert"), "alert", e.Alert, l.rules.alerts()...)
	}
	l.refusal(at.at("fixed"), e)
}

func (l *linter) policy(at trail, p policy.Policy) {
	if p.MTLS != "" {
		l.known(at.at("mtls"), "mTLS mode", string(p.MTLS), string(policy.Strict), string(policy.Permissive))
	}
	for i, r := range p.Allow {
		at := at.at("allow", i)
		l.known(at.at("to"), "cast member", r.To, CastNames()...)
		for j, f := range r.From {
			l.known(at.at("from", j), "cast member", f, append(CastNames(), "*")...)
		}
		if r.Token != nil && r.Token.Subject != "" {
			l.known(at.at("token", "subject"), "cast member", r.Token.Subject, CastNames()...)
		}
	}
	if p.Tokens != nil {
		for i, name := range p.Tokens.At {
			l.known(at.at("tokens", "at", i), "cast member", name, CastNames()...)
		}
	}
}

func (l *linter) mutants(at trail, s Scenario, ids []string) {
	var names []string
	for _, w := range policy.Misconfigurations() {
		names = append(names, w.Name)
	}
	for i, m := range s.Mutants {
		at := at.at(i)
		for j, w := range m.Misconfigure {
			l.known(at.at("misconfigure", j), "misconfiguration", w, names...)
		}
		for j, id := range m.Opens {
			l.known(at.at("opens", j), "attempt", id, ids...)
		}
		for j, mesh := range m.Meshes {
			l.mesh(at.at("meshes", j), mesh)
		}
		if len(m.Misconfigure) == 0 || len(m.Opens) == 0 {
			l.say(at, "a mutant weakens something and opens something")
		}
	}
}

// CastNames are the names of all members of the cast.
func CastNames() []string {
	var out []string
	for _, m := range clusters.Cast() {
		out = append(out, m.Name)
	}
	return out
}

func rotations() []string {
	return []string{
		string(identity.RotateLeaf), string(identity.RotateIssuer), string(identity.AddRoot), string(identity.UseRoot),
		string(identity.DropRoot), string(identity.StopRenewal), string(identity.StartRenewal),
	}
}

func count(all ...bool) int {
	n := 0
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// life checks a step that ends or begins something.
func (l *linter) life(at trail, step Step) {
	for name, what := range map[string]identity.Life{"delete": step.Delete, "recreate": step.Recreate} {
		if what != "" {
			l.known(at.at(name), "part of a life", string(what), string(identity.LifePod), string(identity.LifeAccount))
			l.known(at.at("of"), "cast member", step.Of, CastNames()...)
		}
	}
	if step.Of != "" && step.Delete == "" && step.Recreate == "" {
		l.say(at.at("of"), "of is for delete and recreate")
	}
}

// told checks a breach that a reply proves.
func (l *linter) told(at trail, a Attempt) {
	b := a.Breach
	if b != nil && b.As != "" {
		l.known(at.at("as"), "account", b.As, accounts()...)
	}
	if b == nil || b.Reply == nil {
		return
	}
	at = at.at("reply")
	l.known(at.at("holds"), "owner of a canary", b.Reply.Holds, append(CastNames(), "target", signals.FromAuthority)...)
	if b.Reply.What != "" {
		l.known(at.at("what"), "kind of canary", b.Reply.What, meshes.CanaryConfig, meshes.CanaryObject)
	}
	switch alone := b.ReceiptAt == "" && b.Route == "" && b.Method == "" && b.Port == 0 && b.As == ""; {
	case !b.Reply.Unrun && !alone:
		l.say(at, "a breach is proven by a reply or by a receipt: beside reply nothing else is looked at, unless it is unrun")
	case b.Reply.Unrun && alone:
		l.say(at.at("unrun"), "what proves a breach where it is run? Name the receipt beside reply")
	case b.Reply.Unrun && a.With["request"] == nil:
		l.say(at.at("unrun"), "it leaves no receipt anywhere without a request")
	}
	if a.Attack != "" && !l.searches(a.Attack) {
		l.say(at, "%s does not search what it is answered, so no reply of it holds anything", a.Attack)
	}
}

// accounts are those that something in a range may run as.
func accounts() []string {
	out := []string{"default"}
	for _, m := range clusters.Cast() {
		out = append(out, m.Account)
	}
	return out
}

// searches says whether an attack looks for canaries in what it is answered.
func (l *linter) searches(name string) bool {
	a, ok := l.rules.attack(name)
	if !ok {
		return true // which is said of it elsewhere
	}
	s, ok := a.Example().(attacker.Searcher)
	return ok && s.Searches()
}
