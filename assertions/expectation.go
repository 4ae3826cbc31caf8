// Package assertions judges. It reads the record of an attempt and says what the
// record proves. It never uses a cluster, a clock or a network.
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
	Blocked      Verdict = "blocked"       // no breach, refused as the scenario says, control and twin served
	Breached     Verdict = "breached"      // proven by a receipt or a reply
	WrongRefusal Verdict = "wrong-refusal" // refused by another side or for another reason
	Inconclusive Verdict = "inconclusive"  // it cannot be decided
	Unsupported  Verdict = "unsupported"   // this mesh or provider cannot show it
	Skipped      Verdict = "skipped"
	Leaked       Verdict = "leaked"      // the exposure window of a change exceeded its budget
	Disrupted    Verdict = "disrupted"   // honest requests were lost
	Undisturbed  Verdict = "undisturbed" // no honest request was lost
)

// Outcome is the result of comparing a verdict with what is expected of this
// mesh. An attempt and a scenario have one.
type Outcome string

// The outcomes.
const (
	Pass           Outcome = "pass"
	Fail           Outcome = "fail"
	KnownCVE       Outcome = "known-cve"      // succeeds by a published vulnerability of this release
	Gap            Outcome = "gap"            // succeeds by design, and was detected
	GapUndetected  Outcome = "gap-undetected" // succeeds by design, and no alert was raised
	Changed        Outcome = "changed"        // was expected to succeed, but did not
	Invalid        Outcome = "invalid"        // a mutant had no effect, or a twin was refused: the test proves nothing
	Unjudged       Outcome = "inconclusive"
	NotApplicable  Outcome = "unsupported"
	OutcomeSkipped Outcome = "skipped"
)

// An Expectation is what a scenario says a mesh does about an attempt.
type Expectation struct {
	Verdict Verdict `json:"verdict"`
	By      string  `json:"by,omitempty"`     // who refuses: target or source (its proxy), authority, platform, or peer (see SidePeer)
	Layer   string  `json:"layer,omitempty"`  // tls, tcp, http, grpc or ca
	Reason  string  `json:"reason,omitempty"` // exactly as the signal's
	Code    int     `json:"code,omitempty"`   // HTTP status or gRPC code that the attacker must have seen; 0 is any
	// After says that the refusal comes after the attempt was answered. The
	// attacker does not see it, so the authority's log is the evidence.
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

// A Breach says which receipt or reply proves that an attempt succeeded. An empty
// field matches anything.
type Breach struct {
	ReceiptAt string `json:"receiptAt,omitempty"` // cast name, or target (the default)
	Route     string `json:"route,omitempty"`     // the path that was served
	Method    string `json:"method,omitempty"`
	Port      int    `json:"port,omitempty"`
	// As is an account: the last part of an identity that the target believed.
	As string `json:"as,omitempty"`
	// Reply is for attempts that succeed by what the answer contains. Receipts do
	// not count then, unless Reply.Unrun is set.
	Reply *Told `json:"reply,omitempty"`
}

// Told says which reply proves that an attempt succeeded: one with a success
// status that contains a canary.
type Told struct {
	Status int    `json:"status,omitempty"` // HTTP status; 0 is any success
	Holds  string `json:"holds"`            // cast name, target, or authority: whose canary
	What   string `json:"what,omitempty"`   // config: the canary in the configuration of its proxy; object: an object that the platform accepted
	// Unrun says that the reply counts only where no node runs the object.
	// Elsewhere a receipt of what was run is needed.
	Unrun bool `json:"unrun,omitempty"`
}

// Proves says whether an observation proves the breach. The target is the cast
// name that "target" stands for.
func (t Told) Proves(o attacker.Observation, target string) bool {
	return o.Refusal == nil && o.Reply != nil && (t.Status == 0 || t.Status == o.Reply.Status) && slices.Contains(o.Reply.Holds, t.canary(target))
}

// canary is the name of the canary that the reply must contain.
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

// Proves says whether a receipt proves the breach. The target is the cast name
// that "target" stands for.
func (b Breach) Proves(r attacker.Receipt, target string) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	return (b.Reply == nil || b.Reply.Unrun) && r.Workload == b.Place(target) &&
		(b.Route == "" || b.Route == path) &&
		(b.As == "" || slices.ContainsFunc(r.Identity, func(id string) bool { return id[strings.LastIndex(id, "/")+1:] == b.As })) &&
		(b.Method == "" || b.Method == r.Method) &&
		(b.Port == 0 || b.Port == r.Port)
}

// Place is the cast name of the workload that would have the receipt.
func (b Breach) Place(target string) string {
	if b.ReceiptAt == "" || b.ReceiptAt == "target" {
		return target
	}
	return b.ReceiptAt
}
