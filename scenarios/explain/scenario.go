package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/scenarios"
)

func (p *prose) scenario(s scenarios.Scenario) {
	p.title("%s: %s", s.ID, s.Title)
	p.line(0, "pillar %s, severity %s%s", s.Pillar, s.Severity, formerly(s.Aliases))
	p.heading("Why it matters")
	p.text(2, "%s", s.Why)
	p.heading("Test workloads")
	p.point(2, "%s is the friend: its honest call must be served before and after every attempt.", s.Cast.Friend)
	p.point(2, "%s is the attacker: attempts come from there unless they say otherwise.", s.Cast.Foe)
	p.point(2, "%s is the target: its receipts prove what got through.", s.Cast.Target)
	p.heading("Policy")
	p.policy(2, s.Policy)
	p.heading("Honest call")
	p.text(2, "%s %s", s.Honest().Attack, flow(s.Honest().With))
	if s.Window.Budget > 0 {
		p.heading("Exposure window")
		p.text(2, "A change may take up to %s to settle. What the attacker is served until then is counted.", time.Duration(s.Window.Budget))
	}
	p.heading("Attempts")
	for i, a := range s.Attempts {
		if i > 0 {
			p.gap()
		}
		p.attempt(s, a)
	}
	p.techniques(s)
	p.mutants(s)
	p.maps(s)
	p.heading("Sources")
	for _, source := range s.Sources {
		p.source(source)
	}
}

func formerly(aliases []string) string {
	if len(aliases) == 0 {
		return ""
	}
	return ", also known as " + strings.Join(aliases, ", ")
}

func (p *prose) attempt(s scenarios.Scenario, a scenarios.Attempt) {
	const wide = 9
	if a.Attack == "" {
		p.sub("%s: a change, judged by honest traffic alone", a.ID)
	} else {
		p.sub("%s: %s from %s", a.ID, a.Attack, s.From(a))
		p.code(4, wide, "with", flow(a.With))
		if twin := s.TwinOf(a); twin != nil {
			if twin.Attack != a.Attack {
				p.code(4, wide, "twin by", twin.Attack)
			}
			p.code(4, wide, "twin", flow(twin.With))
		}
		p.item(4, wide, "breach", breach(a.BreachOf()))
	}
	if a.Policy != nil {
		p.lead("with its own policy:")
		p.policy(6, *a.Policy)
	}
	p.steps(s, "during the attempt", a.Steps)
	p.steps(s, "afterwards", a.Restore)
	p.parted("expected:")
	for _, mesh := range slices.Sorted(maps.Keys(a.Expect)) {
		p.item(4, wide, mesh, expectation(a.Expect[mesh].Expectation))
	}
	if a.Unwinnable != "" {
		p.item(4, wide, "unwinnable", " "+a.Unwinnable)
	}
}

func (p *prose) steps(s scenarios.Scenario, when string, steps []scenarios.Step) {
	for _, step := range steps {
		switch {
		case step.Apply != nil:
			p.lead(when + ": apply the policy:")
			p.policy(6, *step.Apply)
		case step.Delete != "":
			p.point(4, "%s: delete the %s of %s", when, step.Delete, step.Of)
		case step.Recreate != "":
			p.point(4, "%s: recreate the %s of %s", when, step.Recreate, step.Of)
		case step.Rotate != "":
			p.point(4, "%s: %s", when, rotation(step.Rotate))
		default:
			p.point(4, "%s: wait for the %s of the leaf certificate of %s", when, step.Await, s.Cast.Friend)
		}
	}
}

// rotation is a step of a rotation in words.
func rotation(r identity.Rotation) string {
	switch r {
	case identity.StopRenewal:
		return "stop the certificate authority"
	case identity.StartRenewal:
		return "start the certificate authority again"
	case identity.AddRoot:
		return "add a new root beside the old one"
	case identity.UseRoot:
		return "issue certificates from the new root"
	case identity.DropRoot:
		return "remove the old root"
	default:
		return "rotate the " + string(r)
	}
}

// breach describes what counts as a breach.
func breach(b assertions.Breach) string {
	if t := b.Reply; t != nil && !t.Unrun {
		return "a reply that contains " + canary(*t)
	}
	out := "a receipt at " + cmp.Or(b.ReceiptAt, "target")
	if b.Method != "" || b.Route != "" {
		out += " for " + strings.TrimSpace(b.Method+" "+b.Route)
	}
	if b.Port != 0 {
		out += fmt.Sprintf(" on port %d", b.Port)
	}
	if b.As != "" {
		out += " from account " + b.As
	}
	if t := b.Reply; t != nil {
		out += "; where no node runs the object, a reply that contains " + canary(*t)
	}
	return out
}

// expectation says what a mesh is expected to do, with the reason.
func expectation(e assertions.Expectation) string {
	switch {
	case e.Gap && e.Silent:
		return "a known limitation: succeeds by design, and no detector can see it: " + e.Because
	case e.Gap:
		out := "a known limitation: succeeds by design; alert " + e.Alert
		if e.Within > 0 {
			out += " within " + time.Duration(e.Within).String()
		}
		return because(out, e.Because)
	case e.CVE != nil:
		return fmt.Sprintf("a known vulnerability, %s, in releases %s: %s; releases that are not affected: %s, code %d",
			e.CVE.ID, e.CVE.Affected, e.Because, assertions.Expectation{Verdict: assertions.Blocked, By: e.By, Layer: e.Layer, Reason: e.Reason}, e.Code)
	case e.After:
		return e.String() + ", after the attempt was answered"
	case e.Verdict == assertions.Blocked && e.Code != 0:
		return fmt.Sprintf("%s, HTTP %d", e.String(), e.Code)
	}
	return because(e.String(), e.Because)
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// techniques explains each attack that the attempts use, once.
func (p *prose) techniques(s scenarios.Scenario) {
	var names []string
	for _, a := range s.Attempts {
		if a.Attack != "" {
			names = append(names, a.Attack)
		}
	}
	slices.Sort(names)
	p.heading("Attacks")
	for _, name := range slices.Compact(names) {
		a, ok := scenarios.FindAttack(name)
		if !ok {
			continue // lint said so
		}
		p.sub("%s: %s", a.Name(), a.Title())
		p.text(4, "%s", a.Doc())
	}
}

func (p *prose) mutants(s scenarios.Scenario) {
	if len(s.Mutants) == 0 {
		return
	}
	p.heading("Mutants: with these misconfigurations the attempts must win")
	for _, m := range s.Mutants {
		p.point(2, "%s: %s", strings.Join(m.Misconfigure, " and "), strings.Join(m.Opens, ", "))
		for _, name := range m.Misconfigure {
			if w, ok := misconfiguration(name); ok {
				p.under(4, w.Doc)
			}
		}
	}
}

// canary describes what a reply must contain to prove a breach.
func canary(t assertions.Told) string {
	out := "a marker of " + cmp.Or(t.Holds, "the target")
	switch t.What {
	case "":
	case meshes.CanaryObject:
		out = fmt.Sprintf("the object of %s as the platform accepted it", t.Holds)
	default:
		out = fmt.Sprintf("a marker from the %s of %s's proxy", t.What, t.Holds)
	}
	if t.Status != 0 {
		out += fmt.Sprintf(", with status %d", t.Status)
	}
	return out
}
