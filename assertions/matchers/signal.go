package matchers

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/clusters/signals"
)

// HaveSignal matches a []signals.Signal that contains one like want. It compares
// Workload, Layer, Nonce, Method, Path, Status, Reason, Serial, Refused and
// Inbound; a zero field in want matches anything. It is an error when there is no
// signal at all, because that proves nothing.
func HaveSignal(want signals.Signal) types.GomegaMatcher { return signalled{want} }

type signalled struct{ want signals.Signal }

func (m signalled) Match(actual any) (bool, error) {
	all, err := value[[]signals.Signal]("HaveSignal", actual)
	if err != nil {
		return false, err
	}
	if len(all) == 0 {
		return false, fmt.Errorf("no signal at all, so it cannot be told whether there was one: %s", signalText(m.want))
	}
	for _, s := range all {
		if like(m.want, s) {
			return true, nil
		}
	}
	return false, nil
}

func like(want, s signals.Signal) bool {
	for _, f := range []struct{ want, got any }{
		{want.Workload, s.Workload}, {want.Layer, s.Layer}, {want.Nonce, s.Nonce}, {want.Method, s.Method}, {want.Path, s.Path},
		{want.Status, s.Status}, {want.Reason, s.Reason}, {want.Serial, s.Serial}, {want.Refused, s.Refused}, {want.Inbound, s.Inbound},
	} {
		if f.want != "" && f.want != 0 && f.want != false && f.want != f.got {
			return false
		}
	}
	return true
}

func (m signalled) FailureMessage(actual any) string {
	return fmt.Sprintf("expected a signal: %s, but there are\n%s", signalText(m.want), signalTexts(actual))
}

func (m signalled) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected no signal: %s, but there are\n%s", signalText(m.want), signalTexts(actual))
}

func signalTexts(actual any) string {
	all, err := value[[]signals.Signal]("HaveSignal", actual)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, "  "+signalText(s))
	}
	return strings.Join(lines, "\n")
}

// signalText is a signal in one line.
func signalText(s signals.Signal) string {
	var words []string
	add := func(format string, v any) {
		if v != "" && v != 0 {
			words = append(words, fmt.Sprintf(format, v))
		}
	}
	add("%s", s.Workload)
	if s.Inbound {
		add("%s", "inbound")
	}
	add("%s", s.Layer)
	add("%s", s.Method)
	add("%s", s.Path)
	add("%d", s.Status)
	if s.Refused {
		add("%s", "refused")
	}
	add("%s", s.Reason)
	add("serial %s", s.Serial)
	add("nonce %s", s.Nonce)
	return strings.Join(words, " ")
}
