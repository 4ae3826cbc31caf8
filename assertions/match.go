package assertions

import (
	"fmt"

	"github.com/onsi/gomega/format"
)

// Matchers have three outcomes: match, no match, and an error when it cannot
// be judged. They keep no state: what they say of a value they work out again.

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
