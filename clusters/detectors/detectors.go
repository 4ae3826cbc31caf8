// Package detectors has what raises alerts from signals.
package detectors

import (
	"net/netip"
	"time"
)

// An Alert is what a detector made of signals.
type Alert struct {
	At       time.Time      `json:"at"`
	Kind     string         `json:"kind"`
	Nonce    string         `json:"nonce,omitempty"`
	Source   netip.AddrPort `json:"source,omitzero"`
	Identity string         `json:"identity,omitempty"`
	Text     string         `json:"text"`
}
