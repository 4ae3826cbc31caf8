package matchers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
)

// HaveReached matches an attacker.Observation, or a pointer to one, that got at
// least as far as r, as far as the attacker can tell. It is an error when the
// attempt could not be made, or does not say how far it got.
func HaveReached(r attacker.Reach) types.GomegaMatcher { return reached{r} }

type reached struct{ want attacker.Reach }

func (m reached) Match(actual any) (bool, error) {
	o, err := value[attacker.Observation]("HaveReached", actual)
	if err != nil {
		return false, err
	}
	if err := tried(o); err != nil {
		return false, err
	}
	far := []attacker.Reach{attacker.Nowhere, attacker.Transport, attacker.Handshake, attacker.Replied}
	got, want := slices.Index(far, o.Seen), slices.Index(far, m.want)
	switch {
	case want < 0:
		return false, fmt.Errorf("HaveReached: %q is no reach; there are %q", m.want, far)
	case got < 0:
		return false, fmt.Errorf("attempt %s does not say how far it came: %q", o.Nonce, o.Seen)
	}
	return got >= want, nil
}

// tried says why an observation tells nothing about the target.
func tried(o attacker.Observation) error {
	if o.Refusal != nil && o.Refusal.Layer == attacker.LayerSocket {
		return fmt.Errorf("attempt %s could not be made here: %s", o.Nonce, assertions.RefusalText(*o.Refusal))
	}
	return nil
}

func (m reached) FailureMessage(actual any) string {
	return fmt.Sprintf("expected an attempt that reached %s, but %s", m.want, seen(actual))
}

func (m reached) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected an attempt that did not reach %s, but %s", m.want, seen(actual))
}

// seen says in a line what an attempt saw.
func seen(actual any) string {
	o, err := value[attacker.Observation]("seen", actual)
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s reached %s", o.Nonce, o.Seen)
	switch {
	case o.Refusal != nil:
		s += " and was refused: " + assertions.RefusalText(*o.Refusal)
		if o.Refusal.By != "" {
			s += " by " + o.Refusal.By
		}
	case o.Reply != nil:
		s += " and was answered: " + assertions.ReplyText(o.Reply)
	}
	return s
}

// HaveRefusal matches an attacker.Observation, or a pointer to one, that was
// refused at a layer with a text that contains the given one. An empty text
// matches any. It is an error when there was neither an answer nor a refusal, or
// when the attempt could not be made, unless the layer is LayerSocket.
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
	return assertions.RefusalText(attacker.Refusal{Layer: m.layer, Code: m.code, Text: m.text})
}

func (m refusedAt) FailureMessage(actual any) string {
	return fmt.Sprintf("expected a refusal: %s, but %s", m, seen(actual))
}

func (m refusedAt) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected no refusal: %s, but %s", m, seen(actual))
}
