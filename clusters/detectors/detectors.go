// Package detectors has the detectors: each reads what a mesh says and raises
// alerts.
package detectors

import (
	"net/netip"
	"slices"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// An Alert is what a detector made of its input.
type Alert struct {
	At       time.Time      `json:"at"`
	Kind     string         `json:"kind"` // name of the detector
	Nonce    string         `json:"nonce,omitempty"`
	Source   netip.AddrPort `json:"source,omitzero"`
	Identity string         `json:"identity,omitempty"`
	Text     string         `json:"text"`
}

// Input is all that a detector may look at.
type Input struct {
	Signals []signals.Signal
	Range   clusters.Range
	Policy  policy.Policy
	Target  string    // name of the workload that the policy protects
	Settled time.Time // when the policy was in force
}

// A Detector raises alerts. Its Alerts must depend on nothing but the input.
type Detector interface {
	// Name is the kind of its alerts. Scenarios name it.
	Name() string
	Alerts(in Input) []Alert
}

// All are the detectors of meshbreach. To add one, add a line.
func All() []Detector {
	return []Detector{ForeignAddress(), ForeignIssue(), Unselected(), SharedIdentity()}
}

// Names are the names of detectors, in their order.
func Names(list []Detector) []string {
	var out []string
	for _, d := range list {
		out = append(out, d.Name())
	}
	return out
}

// Alerts are those of every detector, in the order of the list.
func Alerts(list []Detector, in Input) []Alert {
	var out []Alert
	for _, d := range list {
		out = slices.Concat(out, d.Alerts(in))
	}
	return out
}
