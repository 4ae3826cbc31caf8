// Package scenarios reads properties of a mesh and the attempts that would
// break them, plays them on a cluster, and hands the records to be judged.
package scenarios

import (
	"encoding/json"
	"maps"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// A Scenario is a property of a mesh and the attempts that would break it.
type Scenario struct {
	ID       string         `json:"id" jsonschema:"description=Family and name; the file is catalog/<id>.yaml"`
	Title    string         `json:"title"`
	Aliases  []string       `json:"aliases,omitempty" jsonschema:"description=Older names"`
	Pillar   string         `json:"pillar" jsonschema:"enum=policy,enum=rotation,enum=detection"`
	Severity string         `json:"severity" jsonschema:"enum=low,enum=medium,enum=high,enum=critical"`
	Why      string         `json:"why"`
	Cast     Parts          `json:"cast"`
	Policy   policy.Policy  `json:"policy"`
	Control  *Call          `json:"control,omitempty" jsonschema:"description=The friend's honest call; POST /v1/charge when left out"`
	Twin     map[string]any `json:"twin,omitempty" jsonschema:"description=Twin of every attempt that names none"`
	// TwinAttack goes with Twin.
	TwinAttack string `json:"twinAttack,omitempty" jsonschema:"description=The attack of those twins where the attempts' own has no benign form; twin then holds all of its parameters"`

	Attempts []Attempt           `json:"attempts"`
	Mutants  []Mutant            `json:"mutants,omitempty"`
	Window   Window              `json:"window,omitzero"`
	Maps     map[string][]string `json:"maps" jsonschema:"description=Framework to ids"`
	Sources  []string            `json:"sources"`
}

// Parts says who plays what.
type Parts struct {
	Friend string `json:"friend"`
	Foe    string `json:"foe"`
	Target string `json:"target"`
}

// A Call is a use of an attack for an honest end.
type Call struct {
	Attack string         `json:"attack"`
	With   map[string]any `json:"with"`
}

// An Attempt is one use of an attack.
type Attempt struct {
	ID         string             `json:"id"`
	From       string             `json:"from,omitempty" jsonschema:"description=Cast name; the foe when left out"`
	Attack     string             `json:"attack,omitempty" jsonschema:"description=Left out where only a change is judged"`
	With       map[string]any     `json:"with,omitempty"`
	Twin       map[string]any     `json:"twin,omitempty" jsonschema:"description=Merged over with; null takes a field away"`
	TwinAttack string             `json:"twinAttack,omitempty" jsonschema:"description=The attack of the twin where the attempt's own has no benign form; twin then holds all of its parameters"`
	Policy     *policy.Policy     `json:"policy,omitempty" jsonschema:"description=In place of the scenario's"`
	Steps      []Step             `json:"steps,omitempty" jsonschema:"description=Changes made while the attempt runs"`
	Restore    []Step             `json:"restore,omitempty"`
	Breach     *assertions.Breach `json:"breach,omitempty"`
	Expect     map[string]Expect  `json:"expect"`
	Unwinnable string             `json:"unwinnable,omitempty" jsonschema:"description=Why nothing can open it"`
}

// A Step is a change. Exactly one field is set, of aside.
type Step struct {
	Apply  *policy.Policy    `json:"apply,omitempty"`
	Rotate identity.Rotation `json:"rotate,omitempty"`
	Await  string            `json:"await,omitempty" jsonschema:"enum=expiry,enum=half-life,enum=renewal,enum=validity,description=expiry: the friend's leaf runs out; half-life: its renewal is due; renewal: it is replaced; validity: it is valid"`
	// Delete and Recreate are of the cast member that Of names.
	Delete   identity.Life `json:"delete,omitempty" jsonschema:"enum=pod,enum=account"`
	Recreate identity.Life `json:"recreate,omitempty" jsonschema:"enum=pod,enum=account"`
	Of       string        `json:"of,omitempty" jsonschema:"description=Cast name; for delete and recreate"`
}

// A Mutant is a known mistake that must let the named attempts win.
type Mutant struct {
	Misconfigure []string `json:"misconfigure"`
	Opens        []string `json:"opens"`
	Meshes       []string `json:"meshes,omitempty" jsonschema:"description=The meshes that can make this mistake; all when left out"`
}

// Window bounds how long a change may take to hold.
type Window struct {
	Budget attacker.Duration `json:"budget,omitempty"`
}

// Expect is an expectation as it is written: a word (breached, undisturbed) or
// one of the forms below.
type Expect struct {
	assertions.Expectation
}

type expectForms struct {
	Blocked *struct {
		By     string `json:"by"`
		Layer  string `json:"layer"`
		Reason string `json:"reason"`
		Code   int    `json:"code"`
		After  bool   `json:"after"`
	} `json:"blocked"`
	Gap *struct {
		Alert   string            `json:"alert"`
		Within  attacker.Duration `json:"within"`
		Silent  bool              `json:"silent"`
		Because string            `json:"because"`
	} `json:"gap"`
	KnownCVE *struct {
		ID       string            `json:"id"`
		Affected string            `json:"affected"`
		Patched  []string          `json:"patched"`
		Alert    string            `json:"alert"`
		Within   attacker.Duration `json:"within"`
		Because  string            `json:"because"`
		// Fixed is the refusal by releases that the CVE does not affect.
		Fixed struct {
			By     string `json:"by"`
			Layer  string `json:"layer"`
			Reason string `json:"reason"`
			Code   int    `json:"code"`
		} `json:"fixed"`
	} `json:"known-cve"`
	Breached    string `json:"breached"`
	Unsupported string `json:"unsupported"`
}

// UnmarshalYAML reads a word or a form. Whether the word is one of ours is for
// lint to say, which knows the place.
func (e *Expect) UnmarshalYAML(read func(any) error) error {
	var word string
	if err := read(&word); err == nil {
		e.Verdict = assertions.Verdict(word)
		return nil
	}
	var f expectForms
	if err := read(&f); err != nil {
		return err
	}
	switch {
	case f.Blocked != nil:
		e.Expectation = assertions.Expectation{Verdict: assertions.Blocked, By: f.Blocked.By, Layer: f.Blocked.Layer, Reason: f.Blocked.Reason, Code: f.Blocked.Code, After: f.Blocked.After}
	case f.Gap != nil:
		e.Expectation = assertions.Expectation{Verdict: assertions.Breached, Gap: true, Alert: f.Gap.Alert, Within: f.Gap.Within, Silent: f.Gap.Silent, Because: f.Gap.Because}
	case f.KnownCVE != nil:
		k := f.KnownCVE
		e.Expectation = assertions.Expectation{
			Verdict: assertions.Breached, CVE: &assertions.CVE{ID: k.ID, Affected: k.Affected, Patched: k.Patched},
			Alert: k.Alert, Within: k.Within, Because: k.Because, By: k.Fixed.By, Layer: k.Fixed.Layer, Reason: k.Fixed.Reason, Code: k.Fixed.Code,
		}
	case f.Breached != "":
		e.Expectation = assertions.Expectation{Verdict: assertions.Breached, Because: f.Breached}
	case f.Unsupported != "":
		e.Expectation = assertions.Expectation{Verdict: assertions.Unsupported, Because: f.Unsupported}
	}
	return nil
}

// Honest is the control's call.
func (s Scenario) Honest() Call {
	if s.Control != nil {
		return *s.Control
	}
	return Call{Attack: "http-request", With: map[string]any{"request": "POST /v1/charge"}}
}

// From is who makes an attempt.
func (s Scenario) From(a Attempt) string {
	if a.From != "" {
		return a.From
	}
	return s.Cast.Foe
}

// PolicyOf is what an attempt runs under.
func (s Scenario) PolicyOf(a Attempt) policy.Policy {
	if a.Policy != nil {
		return *a.Policy
	}
	return s.Policy
}

// BreachOf is what proves that an attempt won.
func (a Attempt) BreachOf() assertions.Breach {
	if a.Breach != nil {
		return *a.Breach
	}
	return assertions.Breach{}
}

// TwinOf is the attempt with the hostile part made benign; nil where it has
// none. It is the same attack with a few parameters changed, or another one that
// asks the same server in the same way.
func (s Scenario) TwinOf(a Attempt) *Call {
	patch, attack := s.patchOf(a)
	switch {
	case patch == nil:
		return nil
	case attack != "" && attack != a.Attack:
		return &Call{attack, patch}
	}
	return &Call{a.Attack, MergePatch(a.With, patch)}
}

// patchOf is what a file says of an attempt's twin.
func (s Scenario) patchOf(a Attempt) (patch map[string]any, attack string) {
	if a.Twin == nil {
		return s.Twin, s.TwinAttack
	}
	return a.Twin, a.TwinAttack
}

// MergePatch is a JSON merge patch (RFC 7396).
func MergePatch(base, patch map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range patch {
		if v == nil {
			delete(out, k)
			continue
		}
		if sub, ok := v.(map[string]any); ok {
			old, _ := out[k].(map[string]any) // what is no object is replaced by one
			out[k] = MergePatch(old, sub)
			continue
		}
		out[k] = v
	}
	return out
}

// EncodeParameters writes the parameters of a use of an attack as JSON.
func EncodeParameters(with map[string]any) (json.RawMessage, error) {
	if with == nil {
		with = map[string]any{}
	}
	return json.Marshal(with)
}
