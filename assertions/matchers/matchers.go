// Package matchers has Gomega matchers for what meshbreach observes, records
// and finds. Each has three outcomes: match, no match, and an error when it
// cannot be judged. They keep no state, so a matcher may be used again.
package matchers

import (
	"fmt"

	"github.com/onsi/gomega/format"
)

// value takes a T or a *T.
func value[T any](matcher string, actual any) (T, error) {
	switch v := actual.(type) {
	case T:
		return v, nil
	case *T:
		if v != nil {
			return *v, nil
		}
	}
	var want T
	return want, fmt.Errorf("%s takes a %T or a pointer to one, not:\n%s", matcher, want, format.Object(actual, 1))
}
