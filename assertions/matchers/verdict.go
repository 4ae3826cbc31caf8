package matchers

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/onsi/gomega/format"
	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/assertions"
)

// HaveVerdict matches an assertions.Finding, an attempt of a report, or any
// other struct that has a text field Verdict, with one of the given verdicts.
// It is an error when there is no such field. It is also an error when the
// verdict is Inconclusive, unless Inconclusive is one of those given.
func HaveVerdict(want ...assertions.Verdict) types.GomegaMatcher {
	return worded{"HaveVerdict", "Verdict", "a verdict", texts(want), string(assertions.Inconclusive)}
}

// HaveOutcome is HaveVerdict for the field Outcome.
func HaveOutcome(want ...assertions.Outcome) types.GomegaMatcher {
	return worded{"HaveOutcome", "Outcome", "an outcome", texts(want), string(assertions.Unjudged)}
}

// BePassOrGap matches what HaveOutcome(Pass, Gap) matches: the mesh did what
// the scenario says of it.
func BePassOrGap() types.GomegaMatcher { return HaveOutcome(assertions.Pass, assertions.Gap) }

// A worded matcher compares a text field of a struct.
type worded struct {
	name, field, noun string
	want              []string
	unjudged          string // the word that says that nothing could be judged
}

func texts[T ~string](words []T) []string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return out
}

func (m worded) Match(actual any) (bool, error) {
	got, ok := text(actual, m.field)
	switch {
	case !ok:
		return false, fmt.Errorf("%s takes a struct with a text field %s, not:\n%s", m.name, m.field, format.Object(actual, 1))
	case slices.Contains(m.want, got):
		return true, nil
	case got == m.unjudged || got == "":
		return false, fmt.Errorf("it could not be judged: %s", summary(actual))
	}
	return false, nil
}

func (m worded) FailureMessage(actual any) string {
	return fmt.Sprintf("expected %s of %q, but it is %s", m.noun, m.want, summary(actual))
}

func (m worded) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected %s other than %q, but it is %s", m.noun, m.want, summary(actual))
}

// BeOpened matches a trial of a report, or any other struct that has a truth
// field Opened, when the misconfiguration let the attempt win. It is an error
// when there is no such field, or when the trial could not be judged.
func BeOpened() types.GomegaMatcher { return opened{} }

type opened struct{}

func (opened) Match(actual any) (bool, error) {
	f, ok := field(actual, "Opened")
	if !ok || f.Kind() != reflect.Bool {
		return false, fmt.Errorf("BeOpened takes a struct with a truth field Opened, not:\n%s", format.Object(actual, 1))
	}
	if verdict, _ := text(actual, "Verdict"); !f.Bool() && verdict == string(assertions.Inconclusive) {
		return false, fmt.Errorf("it could not be judged: %s", summary(actual))
	}
	return f.Bool(), nil
}

func (opened) FailureMessage(actual any) string {
	return "expected the misconfiguration to let the attempt win, but it is " + summary(actual)
}

func (opened) NegatedFailureMessage(actual any) string {
	return "expected the misconfiguration to change nothing, but it is " + summary(actual)
}

// field is a field of a struct, or of the struct that a pointer leads to.
func field(actual any, name string) (reflect.Value, bool) {
	v := reflect.Indirect(reflect.ValueOf(actual))
	if v.Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	at, ok := v.Type().FieldByName(name)
	if !ok {
		return reflect.Value{}, false
	}
	f, err := v.FieldByIndexErr(at.Index)
	return f, err == nil
}

func text(actual any, name string) (string, bool) {
	f, ok := field(actual, name)
	if !ok || f.Kind() != reflect.String {
		return "", false
	}
	return f.String(), true
}

// summary is a finding in a line: outcome, verdict and reason, as far as it has
// them.
func summary(actual any) string {
	s, _ := text(actual, "Outcome")
	verdict, _ := text(actual, "Verdict")
	switch {
	case s == "":
		s = verdict
	case verdict != "":
		s += " (" + verdict + ")"
	}
	if why, _ := text(actual, "Why"); why != "" {
		s += ": " + why
	}
	return s
}
