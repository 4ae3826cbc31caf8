package assertions

import (
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/detectors"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// A Record is all that a verdict is judged from. Judging it again gives the
// same verdict. It holds no key and no token.
type Record struct {
	Scenario      string      `json:"scenario"`
	Attempt       string      `json:"attempt"`
	Mesh          string      `json:"mesh"`
	Target        string      `json:"target"`
	Misconfigured []string    `json:"misconfigured,omitempty"`
	Expect        Expectation `json:"expect"`
	Breach        Breach      `json:"breach"`
	Runs          bool        `json:"runs,omitempty"`    // a node runs objects that the platform accepts
	Missing       []string    `json:"missing,omitempty"` // capabilities that the mesh lacks
	Loot          []Loot      `json:"loot,omitempty"`

	// TwinAttack is the attack of the twin, where it is not the attempt's own.
	TwinAttack string `json:"twinAttack,omitempty"`
	Before     []Call `json:"before,omitempty"` // control and twin, right before
	Tries      Call   `json:"tries"`
	// The fence is the friend's next honest call. Its receipt shows that the target
	// was running until then and could have received the attempt.
	After []Call `json:"after,omitempty"` // fence and twin, right after
	// Earlier are tries that were inconclusive. A breach in them counts.
	Earlier []Call `json:"earlier,omitempty"`

	Receipts []attacker.Receipt   `json:"receipts,omitempty"` // of every nonce above, at any workload
	Late     []attacker.Receipt   `json:"late,omitempty"`     // found by the last sweep
	Signals  []signals.Signal     `json:"signals,omitempty"`
	Alerts   []detectors.Alert    `json:"alerts,omitempty"`
	Change   *Change              `json:"change,omitempty"` // what was changed while the tries ran
	Apply    *Change              `json:"apply,omitempty"`  // the policy that this attempt ran under
	Load     *attacker.LoadResult `json:"load,omitempty"`   // honest load, where it is what is judged
	Fault    string               `json:"fault,omitempty"`  // why it could not be tried
}

// A Call is one use of an attack and what it saw.
type Call struct {
	Role         string                 `json:"role"` // control, twin, fence or attempt
	From         string                 `json:"from"`
	Attack       string                 `json:"attack,omitempty"`
	Observations []attacker.Observation `json:"observations,omitempty"`
	Error        string                 `json:"error,omitempty"` // could not be made
	// Change is what was changed while an earlier try ran. Its exposure window and
	// later breaches count although the try was repeated.
	Change *Change `json:"change,omitempty"`
}

// Holds is the moment from which a change should hold: when it settled, or when
// it was overdue. It is zero when neither can be told.
func (c Change) Holds() time.Time {
	if c.Settled.IsZero() {
		return c.Overdue
	}
	return c.Settled
}

// Overdue says whether the policy of the attempt was not in effect by its limit.
func (r Record) Overdue() bool {
	return r.Apply != nil && r.Apply.Unsettled() != "" && !r.Apply.Overdue.IsZero()
}

// Nonces are those of all tries, including the earlier ones.
func (r Record) Nonces() []string {
	var out []string
	for _, c := range append([]Call{r.Tries}, r.Earlier...) {
		for _, o := range c.Observations {
			out = append(out, o.Nonce)
		}
	}
	return out
}

// The roles of calls.
const (
	RoleControl = "control"
	RoleTwin    = "twin"
	RoleFence   = "fence"
	RoleAttempt = "attempt"
)

// roleText is a role in the words of reports.
func roleText(role string) string {
	switch role {
	case RoleTwin:
		return "benign twin"
	case RoleFence:
		return "follow-up check"
	}
	return role
}

// Loot describes a credential that the attacker held. It does not contain it.
type Loot struct {
	Kind   string `json:"kind"` // leaf or token
	Of     string `json:"of"`
	Source string `json:"source"`           // minted, copied or stolen
	Serial string `json:"serial,omitempty"` // of a leaf
}

// A Change is a change of policy or of identities, and when it took effect.
type Change struct {
	What     string    `json:"what"`
	Revision string    `json:"revision"`
	Asked    time.Time `json:"asked"`
	Settled  time.Time `json:"settled,omitzero"`
	// Overdue is when the wait for it ended at its limit, while the mesh had taken
	// the change and all of the mesh was ready. From then on it counts as a change
	// that should hold: a mesh must not be excused for enforcing nothing.
	Overdue time.Time     `json:"overdue,omitzero"`
	Error   string        `json:"error,omitempty"` // why it never settled
	Note    string        `json:"note,omitempty"`
	Budget  time.Duration `json:"budget,omitempty"` // for the window, nanoseconds
	// Window counts what the foe was served between Asked and Settled.
	Window Window `json:"window,omitzero"`
}

// A Window is the time until a change took effect.
type Window struct {
	Tries       int           `json:"tries"`
	Served      int           `json:"served"`
	FirstDenial time.Duration `json:"firstDenial"` // after Asked, nanoseconds; negative: none seen
	LastLeak    time.Duration `json:"lastLeak"`    // after Asked; negative: none
	// Late is how many of Served came after the first denial: a proxy's workers
	// apply a change at different times.
	Late int `json:"late,omitempty"`
}

// Measure computes a window from the attacker's observations and their receipts.
// If the change never settled, settled is zero and the window has no end.
func Measure(asked, settled time.Time, seen []attacker.Observation, receipts []attacker.Receipt) Window {
	w := Window{FirstDenial: -1, LastLeak: -1}
	over := func(t time.Time) bool { return !settled.IsZero() && t.After(settled) }
	for _, o := range seen {
		if o.Start.Before(asked) || over(o.Start) {
			continue
		}
		w.Tries++
		if d := o.End.Sub(asked); o.Refusal != nil && (w.FirstDenial < 0 || d < w.FirstDenial) {
			w.FirstDenial = d
		}
	}
	for _, r := range receipts {
		if d := r.At.Sub(asked); d >= 0 && !over(r.At) {
			w.Served++
			w.LastLeak = max(w.LastLeak, d)
			if w.FirstDenial >= 0 && d > w.FirstDenial {
				w.Late++
			}
		}
	}
	return w
}
