package scenarios

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
)

// canaries are what answers are searched for; nil where the mesh planted none.
func (p *player) canaries() map[string][]string {
	mesh, ok := p.stage.mesh.(clusters.Planted)
	if !ok {
		return nil
	}
	return mesh.Canaries(p.rg)
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
	l.known(at.at("holds"), "owner of a canary", b.Reply.Holds, append(castNames(), "target", clusters.AuthorityName)...)
	if b.Reply.What != "" {
		l.known(at.at("what"), "kind of canary", b.Reply.What, clusters.CanaryConfig, clusters.CanaryObject)
	}
	switch alone := b.ReceiptAt == "" && b.Route == "" && b.Method == "" && b.Port == 0 && b.As == ""; {
	case !b.Reply.Unrun && !alone:
		l.say(at, "a breach is proven by a reply or by a receipt: beside reply nothing else is looked at, unless it is unrun")
	case b.Reply.Unrun && alone:
		l.say(at.at("unrun"), "what proves a breach where it is run? Name the receipt beside reply")
	case b.Reply.Unrun && a.With["request"] == nil:
		l.say(at.at("unrun"), "it leaves no receipt anywhere without a request")
	}
	if a.Attack != "" && !slices.Contains(searching(), a.Attack) {
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

// searching are the attacks that look for canaries.
func searching() []string { return []string{"act-as-proxy", "read-interface", "submit-object"} }

// canary says in words what a reply would hold.
func canary(t assertions.Told) string {
	out := "a canary of " + cmp.Or(t.Holds, "the target")
	switch t.What {
	case "":
	case clusters.CanaryObject:
		out = fmt.Sprintf("what %s submitted, or what was changed of %s, as the platform has taken it", t.Holds, t.Holds)
	default:
		out = fmt.Sprintf("a canary of the %s of %s's proxy", t.What, t.Holds)
	}
	if t.Status != 0 {
		out += fmt.Sprintf(", with status %d", t.Status)
	}
	return out
}
