// Package assertions judges. It reads the record of an attempt and says what
// it proves; it never looks at a cluster, a clock or a network.
package assertions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// Verdict is what the record of an attempt, or of a change, proves.
type Verdict string

// The verdicts.
const (
	Blocked      Verdict = "blocked"       // no breach, refused as named, control and twin served
	Breached     Verdict = "breached"      // a receipt proves it
	WrongRefusal Verdict = "wrong-refusal" // refused, but not by whom or not for what was named
	Inconclusive Verdict = "inconclusive"  // it cannot be told
	Unsupported  Verdict = "unsupported"   // this mesh, here, has nothing to try it on
	Skipped      Verdict = "skipped"
	Leaked       Verdict = "leaked"      // the window of a change was over its budget
	Disrupted    Verdict = "disrupted"   // honest requests were lost
	Undisturbed  Verdict = "undisturbed" // none was
)

// Outcome is what became of an attempt, or of a scenario, against what was
// expected of this mesh.
type Outcome string

// The outcomes.
const (
	Pass           Outcome = "pass"
	Fail           Outcome = "fail"
	KnownCVE       Outcome = "known-cve"      // succeeds by a published vulnerability of this release
	Gap            Outcome = "gap"            // succeeds by design, and was detected
	GapUndetected  Outcome = "gap-undetected" // succeeds by design, and nobody saw it
	Changed        Outcome = "changed"        // was expected to win and did not
	Invalid        Outcome = "invalid"        // a mutant held, or a twin was refused: the test proves nothing
	Unjudged       Outcome = "inconclusive"
	NotApplicable  Outcome = "unsupported"
	OutcomeSkipped Outcome = "skipped"
)

// An Expectation is what a scenario says a mesh does about an attempt.
type Expectation struct {
	Verdict Verdict `json:"verdict"`
	By      string  `json:"by,omitempty"`     // target or source: whose proxy refuses; authority or platform; peer: whoever is at the address
	Layer   string  `json:"layer,omitempty"`  // tls, tcp, http, grpc or ca
	Reason  string  `json:"reason,omitempty"` // exactly as the signal's
	Code    int     `json:"code,omitempty"`   // HTTP status that the attacker must have seen; 0 is any
	// After says that the refusal comes after the attempt was answered, so that
	// the attacker sees none of it and the authority's own word is the evidence.
	After   bool              `json:"after,omitempty"`
	Gap     bool              `json:"gap,omitempty"` // breached by design; Alert must say so
	Alert   string            `json:"alert,omitempty"`
	Within  attacker.Duration `json:"within,omitempty"` // of the alert; 2 s when zero
	Silent  bool              `json:"silent,omitempty"` // no detector can see this gap; Because says why
	Because string            `json:"because,omitempty"`
	// CVE is the vulnerability by which the attempt succeeds on the releases
	// that it affects. By, Layer, Reason and Code are the refusal of the others.
	CVE *CVE `json:"cve,omitempty"`
}

// String is the short form for tables.
func (e Expectation) String() string {
	switch {
	case e.Gap:
		return "gap"
	case e.CVE != nil:
		return string(KnownCVE)
	case e.Verdict == Blocked:
		return fmt.Sprintf("blocked by %s (%s %s)", e.By, e.Layer, e.Reason)
	}
	return string(e.Verdict)
}

// A Breach says which receipt proves that an attempt won, or which reply.
// Fields that are empty do not narrow.
type Breach struct {
	ReceiptAt string `json:"receiptAt,omitempty"` // cast name, or target (the default)
	Route     string `json:"route,omitempty"`     // the path that was served
	Method    string `json:"method,omitempty"`
	Port      int    `json:"port,omitempty"`
	// As is an account: the last part of an identity that the target believed.
	As string `json:"as,omitempty"`
	// Reply is for attempts that win by what they are told. No receipt counts
	// then, unless the reply counts only where no receipt could be.
	Reply *Told `json:"reply,omitempty"`
}

// Told says which reply proves that an attempt won: a success that holds what
// only the protected thing has.
type Told struct {
	Status int    `json:"status,omitempty"` // HTTP status; 0 is any success
	Holds  string `json:"holds"`            // cast name, target, or authority: whose canary
	What   string `json:"what,omitempty"`   // config: a canary that is in the configuration of its proxy and in no other's; object: an object that the platform has taken
	// Unrun: it counts only where nobody runs what the platform takes. Elsewhere
	// it takes a receipt of what was run.
	Unrun bool `json:"unrun,omitempty"`
}

// Proves says whether what an attempt saw meets the predicate; target is the
// cast name that "target" stands for.
func (t Told) Proves(o attacker.Observation, target string) bool {
	return o.Refusal == nil && o.Reply != nil && (t.Status == 0 || t.Status == o.Reply.Status) && slices.Contains(o.Reply.Holds, t.canary(target))
}

// canary is the name that a reply would hold.
func (t Told) canary(target string) string {
	name := t.Holds
	if name == "target" {
		name = target
	}
	if t.What != "" {
		name += "/" + t.What
	}
	return name
}

// Proves says whether a receipt meets the predicate; target is the cast name
// that "target" stands for.
func (b Breach) Proves(r attacker.Receipt, target string) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	return (b.Reply == nil || b.Reply.Unrun) && r.Workload == b.Place(target) &&
		(b.Route == "" || b.Route == path) &&
		(b.As == "" || slices.ContainsFunc(r.Identity, func(id string) bool { return id[strings.LastIndex(id, "/")+1:] == b.As })) &&
		(b.Method == "" || b.Method == r.Method) &&
		(b.Port == 0 || b.Port == r.Port)
}

// Place is the cast name of where the receipt would lie.
func (b Breach) Place(target string) string {
	if b.ReceiptAt == "" || b.ReceiptAt == "target" {
		return target
	}
	return b.ReceiptAt
}
