package assertions

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/onsi/gomega/format"
	"github.com/onsi/gomega/types"
)

// HaveOutcome matches a Finding, or whatever else has a text field Outcome as
// the findings of a report do, with one of the given outcomes. It is an error
// when the value has no such field, or when nothing could be judged while
// Unjudged is not one of those asked for.
func HaveOutcome(want ...Outcome) types.GomegaMatcher { return found{want} }

type found struct{ want []Outcome }

func (m found) Match(actual any) (bool, error) {
	got, ok := text(actual, "Outcome")
	switch {
	case !ok:
		return false, fmt.Errorf("HaveOutcome takes what has a text field Outcome, not:\n%s", format.Object(actual, 1))
	case slices.Contains(m.want, Outcome(got)):
		return true, nil
	case got == string(Unjudged) || got == "":
		return false, fmt.Errorf("it could not be judged: %s", summary(actual))
	}
	return false, nil
}

// text reads a text field of a struct, or of what a pointer leads to.
func text(actual any, field string) (string, bool) {
	v := reflect.Indirect(reflect.ValueOf(actual))
	if v.Kind() != reflect.Struct {
		return "", false
	}
	at, ok := v.Type().FieldByName(field)
	if !ok {
		return "", false
	}
	f, err := v.FieldByIndexErr(at.Index)
	if err != nil || f.Kind() != reflect.String {
		return "", false
	}
	return f.String(), true
}

// summary is a finding in a line.
func summary(actual any) string {
	s, _ := text(actual, "Outcome")
	if verdict, ok := text(actual, "Verdict"); ok {
		s += " (" + verdict + ")"
	}
	if why, _ := text(actual, "Why"); why != "" {
		s += ": " + why
	}
	return s
}

func (m found) FailureMessage(actual any) string {
	return fmt.Sprintf("expected an outcome of %q, but it is %s", m.want, summary(actual))
}

func (m found) NegatedFailureMessage(actual any) string {
	return fmt.Sprintf("expected no outcome of %q, but it is %s", m.want, summary(actual))
}
