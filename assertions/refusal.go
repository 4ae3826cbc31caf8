package assertions

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/attacker"
)

// HaveRefusal matches an attacker.Observation, or a pointer to one, that was
// refused at a layer with a text that contains the given one; an empty text is
// any. It is an error when the attempt could not be made, unless that is what
// is asked for, and when it saw neither an answer nor a refusal.
func HaveRefusal(at attacker.Layer, text string) types.GomegaMatcher { return refusedAt{at, text, 0} }

// HaveRefusalCode is HaveRefusal by number: an HTTP status, a gRPC code or a
// TLS alert.
func HaveRefusalCode(at attacker.Layer, code int) types.GomegaMatcher {
	return refusedAt{at, "", code}
}

type refusedAt struct {
	layer attacker.Layer
	text  string
	code  int
}

func (m refusedAt) Match(actual any) (bool, error) {
	o, err := value[attacker.Observation]("HaveRefusal", actual)
	if err != nil {
		return false, err
	}
	if o.Refusal == nil && o.Reply == nil {
		return false, fmt.Errorf("attempt %s saw neither an answer nor a refusal", o.Nonce)
	}
	if m.layer != attacker.LayerSocket {
		if err := tried(o); err != nil {
			return false, err
		}
	}
	f := o.Refusal
	return f != nil && f.Layer == m.layer && strings.Contains(f.Text, m.text) && (m.code == 0 || m.code == f.Code), nil
}

func (m refusedAt) String() string {
	return refusalText(attacker.Refusal{Layer: m.layer, Code: m.code, Text: m.text})
}

func (m refusedAt) FailureMessage(actual any) string {
	return fmt.Sprintf("expected a refusal: %s, but %s", m, seen(actual))
}

func (m refusedAt) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected no refusal: %s, but %s", m, seen(actual))
}
